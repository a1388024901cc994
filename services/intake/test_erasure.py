"""Forgetting a person, as given, when, then: two people, no hold, and the deed before the word."""

from datetime import date, timedelta
from functools import partial
from uuid import UUID

from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from contracts.codes import codes
from contracts.intake import (
    DataRequestReceived,
    ErasureApproved,
    ErasureRefused,
    ErasureRequested,
    HoldLifted,
    HoldPlaced,
    PersonForgotten,
)
from contracts.kernel import Given, Refused
from contracts.rules import LAW
from services.intake.domain import decide, evolve
from services.intake.domain.erasure import ApproveErasure, ForgetPerson, RefuseErasure, RequestErasure
from services.intake.domain.persons import (
    HoldForCase,
    LiftHold,
    LiftRestriction,
    PlaceHold,
    ReceiveDataRequest,
    ReleaseCase,
    RestrictPerson,
)
from tests.given import NOW, STREAM
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
REQUESTED = ErasureRequested(basis="subject", proposed_by="DL-01")
APPROVED = ErasureApproved(decision="12/QĐ", approved_by="DL-02")
FORGOTTEN = PersonForgotten(decision="12/QĐ", destroyed_at=NOW)
APPROVE = ApproveErasure(decision="12/QĐ")


def asked(right="erase"):
    return DataRequestReceived(number=1, right=right, received_at=NOW, authority="subject", person_id=STREAM)


def test_one_data_officer_proposes_and_another_approves():
    given().when(RequestErasure(basis="subject"), by="DL-01").then(REQUESTED)
    given(REQUESTED).when(APPROVE, by="DL-02").then(APPROVED)


def test_whoever_proposed_does_not_approve():
    given(REQUESTED).when(APPROVE, by="DL-01").refused("own-proposal")


def test_a_child_is_not_forgotten_while_a_report_about_it_waits_for_a_decision():
    waits = APPROVE.model_copy(update={"undecided": (UUID(int=31),)})
    given(REQUESTED).when(waits, by="DL-02").refused("report-undecided")


def test_nobody_is_proposed_whose_id_is_nobodys():
    given().when(RequestErasure(basis="subject", known=False), by="DL-01").refused("nothing-to-forget")


def test_to_propose_it_again_makes_nobody_else_the_proposer():
    given(REQUESTED).when(RequestErasure(basis="purpose_done"), by="DL-02").then_nothing()


def test_nothing_is_approved_or_refused_that_nobody_proposed():
    for command in (APPROVE, RefuseErasure(reason="no_ground")):
        given().when(command, by="DL-02").refused("nothing-requested")
        given(REQUESTED, APPROVED).when(command, by="DL-01").refused("nothing-requested")


def test_a_refusal_has_its_reason_and_another_proposal_may_follow():
    refused = ErasureRefused(reason="criminal")
    given(REQUESTED).when(RefuseErasure(reason="criminal"), by="DL-01").then(refused)
    given(REQUESTED, refused).when(APPROVE, by="DL-02").refused("nothing-requested")
    given(REQUESTED, refused).when(RequestErasure(basis="subject"), by="DL-01").then(REQUESTED)


def test_a_proposal_names_a_request_that_asks_for_it():
    given(asked()).when(RequestErasure(basis="subject", request=1), by="DL-01").then(
        ErasureRequested(basis="subject", request=1, proposed_by="DL-01")
    )
    given().when(RequestErasure(basis="subject", request=1)).refused("no-such-request", requests=[])
    given(asked("view")).when(RequestErasure(basis="subject", request=1)).refused("no-such-request", requests=[])


def test_a_hold_binds_whatever_was_asked():
    for hold in codes("hold"):
        given(HoldPlaced(hold=hold), REQUESTED).when(APPROVE, by="DL-02").refused("hold-binds")
    lifted = HoldLifted(hold="court", reason="ended")
    given(HoldPlaced(hold="court"), REQUESTED, lifted).when(APPROVE, by="DL-02").then(APPROVED)


def test_an_open_case_of_the_child_binds():
    given(HoldPlaced(hold="open_case", case_id=UUID(int=21)), REQUESTED).when(APPROVE, by="DL-02").refused("hold-binds")


def test_a_hold_binds_up_to_and_with_its_last_day_in_viet_nam():
    held = HoldPlaced(hold="retention", until_on=date(2026, 3, 3))
    midnight = NOW.replace(hour=17, minute=0)
    given(held, REQUESTED).when(APPROVE, by="DL-02", at=midnight - timedelta(seconds=1)).refused("hold-binds")
    given(held, REQUESTED).when(APPROVE, by="DL-02", at=midnight).then(APPROVED)


def test_the_deed_is_told_once_and_only_on_the_approved_decision():
    deed = ForgetPerson(decision="12/QĐ", destroyed_at=NOW)
    given(REQUESTED, APPROVED).when(deed).then(FORGOTTEN)
    given(REQUESTED, APPROVED, FORGOTTEN).when(deed).then_nothing()
    for before in ((), (REQUESTED,), (REQUESTED, ErasureApproved(decision="13/QĐ", approved_by="DL-02"))):
        given(*before).when(deed).refused("not-approved")


def test_nobody_is_forgotten_twice():
    for command in (RequestErasure(basis="subject"), APPROVE, RefuseErasure(reason="no_ground")):
        given(REQUESTED, APPROVED, FORGOTTEN).when(command, by="DL-02").refused("person-forgotten")


days = st.none() | st.sampled_from([date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 9)])
commands = st.one_of(
    st.just(RequestErasure(basis="subject")),
    st.just(APPROVE),
    st.just(RefuseErasure(reason="no_ground")),
    st.builds(PlaceHold, hold=st.sampled_from(codes("hold")), until_on=days),
    st.builds(LiftHold, hold=st.sampled_from(codes("hold")), reason=st.just("ended")),
    st.builds(HoldForCase, case_id=st.sampled_from([UUID(int=21), UUID(int=22)])),
    st.builds(ReleaseCase, case_id=st.sampled_from([UUID(int=21), UUID(int=22)])),
    st.just(RestrictPerson(basis="hold")),
    st.just(LiftRestriction(reason="settled")),
    st.just(ReceiveDataRequest(right="erase", received_at=NOW, authority="subject")),
    st.just(ForgetPerson(decision="12/QĐ", destroyed_at=NOW)),
)


@settings(max_examples=300)
@given_any(st.lists(st.tuples(commands, st.sampled_from(["DL-01", "DL-02"])), max_size=14))
def test_whatever_is_commanded_who_is_forgotten_was_approved_by_a_second_person_while_nothing_bound(history):
    state, told = None, []
    for command, by in history:
        if state is None and not command.creates:
            continue  # the chassis answers 404 before anybody decides
        known = command.knowing(Given(by, "data_officer", NOW, LAW, STREAM, bytes(16)))
        before = state
        try:
            facts = list(decide(known, state))
        except Refused:
            continue
        for fact in facts:
            if isinstance(fact, ErasureApproved):
                assert fact.approved_by != before.proposal.proposed_by
                assert [] == before.binding(date(2026, 3, 3))
            if isinstance(fact, PersonForgotten):
                assert ErasureApproved in {type(each) for each in told}
            if isinstance(fact, HoldPlaced):
                assert ErasureApproved not in {type(each) for each in told}
            state = evolve(fact, state)
            told.append(fact)
    assert 1 >= sum(isinstance(fact, PersonForgotten) for fact in told)
