"""The reactions of all services, walked as one graph of facts: who hears whom, what follows from what, and that it comes to an end.

What a command may tell is read from the code that decides it, so the graph cannot fall behind the domains.
"""

from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from inspect import isfunction, ismodule
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from chassis.reaction import Reaction
from contracts import cases, clocks, notifications, referrals
from contracts.kernel import Command, Fact
from services.notifications.domain.queueing import QueueMessage
from services.notifications.domain.sending import RecordReceipt, RecordSending

SERVICES = sorted(file.parent.name for file in Path(__file__).parent.glob("*/reactions.py"))
HEARS = {  # catalogue, topics
    "intake": {"cases"},
    "cases": {"intake", "referrals"},
    "referrals": {"intake", "cases", "notifications"},
    "notifications": {"intake", "cases", "referrals", "projections"},
}
TABLE = {  # catalogue, reactions: what of it stands
    "intake.ReportScreened": {"OpenCase", "SendReferral"},
    "cases.CaseOpened": {"LinkCase", "HoldForCase"},
    "cases.PlanApproved": {"SendReferral"},
    "cases.InterventionClosed": {"RevokeReferral"},
    "cases.CaseClosed": {"QueueMessage", "ReleaseCase"},
    "referrals.ReferralSent": {"NoteHandOff", "QueueMessage"},
    "referrals.ReferralDelivered": {"NoteHandOff", "CancelMessage"},
    "referrals.ReferralAcknowledged": {"NoteHandOff", "CancelMessage"},
    "referrals.ReferralCompleted": {"NoteHandOff"},
    "referrals.ReferralRevoked": {"NoteHandOff", "CancelMessage"},
    "referrals.ReferralEscalated": {"NoteHandOff", "QueueMessage"},
    "notifications.MessageDelivered": {"RecordDelivery"},
    "notifications.MessageUndeliverable": {"EscalateReferral"},
    "intake.ClockBreached": {"QueueMessage"},
    "cases.ClockBreached": {"QueueMessage"},
    "referrals.ClockBreached": {"QueueMessage"},
    "projections.ClockBreached": {"QueueMessage"},
}
LOOPS = ((notifications.MessageQueued, RecordSending), (notifications.MessageSent, RecordReceipt))
"""The one loop that acts without being told or without time passing: the sender, and the mail hosts that answer it."""
LADDER = {referrals.ReferralEscalated, notifications.MessageQueued, notifications.MessageUndeliverable}
"""Escalated → message → undeliverable → escalated: it ends with the ladder, which the hand-off's own properties prove."""

Graph = dict[type[Fact], set[type[Fact]]]


def reactions() -> Iterator[tuple[str, Reaction]]:
    for service in SERVICES:
        for reaction in import_module(f"services.{service}.reactions").REACTIONS:
            yield service, reaction


def facts_of(command: type[Command]) -> set[type[Fact]]:
    """Every fact that deciding this command may tell: the fact classes named in the code reached from its decision."""
    decide = import_module(command.__module__.partition(".domain")[0] + ".domain").decide
    decision = decide.dispatch(command)
    assert decision is not decide.dispatch(object), f"nobody decides {command.__name__}"
    return {
        named
        for named in _named(decision, set())
        if isinstance(named, type) and issubclass(named, Fact) and hasattr(named, "TOPIC")
    }


def _named(function: Callable[..., Any], seen: set[Any]) -> set[Any]:
    """Every class and function that is named by the function, or by functions of the services that it calls."""
    seen.add(function)
    names = set(_names(function.__code__))
    scopes = [function.__globals__, *(vars(found) for name in names if ismodule(found := function.__globals__.get(name)))]
    named = {value for scope in scopes for name in names if isinstance(value := scope.get(name), type) or isfunction(value)}
    inner = {value for value in named if isfunction(value) and value.__module__.startswith("services.")}
    return named.union(*(_named(called, seen) for called in inner if called not in seen))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def graph() -> Graph:
    """Fact → the facts that it may lead to, without a clock or a person in between."""
    edges: Graph = {}
    for hears, wants in [*((reaction.hears, reaction.wants) for _, reaction in reactions()), *LOOPS]:
        edges.setdefault(hears, set()).update(fact for fact in facts_of(wants) if not issubclass(fact, clocks.Breached))
    return edges  # a breach takes the passing of time, and a clock breaches once, whoever finds it first


def reached(edges: Graph, start: type[Fact]) -> set[type[Fact]]:
    found: set[type[Fact]] = set()
    front = set(edges.get(start, ()))
    while front:
        found |= front
        front = {later for fact in front for later in edges.get(fact, ())} - found
    return found


def test_the_reactions_of_the_table_stand_and_no_others():
    found: dict[str, set[str]] = {}
    for _, reaction in reactions():
        found.setdefault(reaction.hears.TOPIC, set()).add(reaction.wants.__name__)
    assert TABLE == found


def test_each_service_hears_the_logs_it_should_and_commands_its_own_streams_only():
    found: dict[str, set[str]] = {}
    for service, reaction in reactions():
        found.setdefault(service, set()).add(reaction.hears.log)
        assert reaction.wants.__module__.startswith(f"services.{service}.domain")
    assert HEARS == found


def test_no_two_reactions_of_a_service_answer_the_same_fact_with_the_same_command():
    wanted = [(service, reaction.hears, reaction.wants) for service, reaction in reactions()]
    assert len(set(wanted)) == len(wanted)


@pytest.mark.parametrize(
    ("command", "facts"),
    [
        (QueueMessage, {"MessageQueued", "ClockStarted", "MessageUndeliverable"}),
        (
            RecordSending,
            {
                "MessageSent",
                "MessageFailed",
                "MessageDelivered",
                "MessageUndeliverable",
                "ClockStarted",
                "ClockMet",
                "ClockBreached",
                "ClockWaived",
            },
        ),
    ],
)
def test_what_a_command_may_tell_is_read_from_its_decision(command, facts):
    assert facts == {fact.__name__ for fact in facts_of(command)}


def test_every_reaction_may_tell_something():
    assert [] == [reaction.name for _, reaction in reactions() if not facts_of(reaction.wants)]


def test_the_bridge_is_walked_from_the_screening_to_the_supervisors_mail():
    bridge = reached(graph(), import_module("contracts.intake").ReportScreened)
    assert {cases.CaseOpened, cases.HandOffNoted, referrals.ReferralSent, *LADDER} <= bridge


def test_the_only_circle_is_the_ladders():
    edges = graph()
    assert LADDER == {fact for fact in edges if fact in reached(edges, fact)}


def test_without_the_ladder_the_graph_has_no_circle():
    edges = graph()
    edges[notifications.MessageUndeliverable] = edges[notifications.MessageUndeliverable] - {referrals.ReferralEscalated}
    assert {referrals.ReferralSent, cases.CaseOpened} <= set(TopologicalSorter(edges).static_order())


def test_a_circle_would_be_found():
    edges = graph()
    edges[notifications.MessageDelivered] = edges[notifications.MessageDelivered] | {notifications.MessageQueued}
    assert LADDER < {fact for fact in edges if fact in reached(edges, fact)}
    with pytest.raises(CycleError):
        TopologicalSorter(edges).prepare()
