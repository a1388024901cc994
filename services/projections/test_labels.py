"""Where a case, a record, a contact and a hand-off stand: each label by the shortest history that earns it."""

from datetime import timedelta

import pytest

from contracts import cases as c
from contracts import intake as i
from contracts import referrals as r
from services.projections.test_samples import (
    COMMUNE,
    DESK,
    HEALTH,
    HOUR,
    T0,
    Ids,
    Tape,
    approved,
    assessed,
    breach,
    clock,
    closed,
    ended,
    measure,
    noted,
    opened,
    plan,
    reported,
    reviewed,
    sent,
    silent,
    taken,
)
from services.projections.views.labels import tracks_of
from services.projections.views.shown import clocks_of
from services.projections.views.standing import standing
from services.projections.views.work import work_of

IDS = Ids()


def told(stream, facts):
    tape = Tape()
    tape.tell(stream, *facts)
    return tape.events


def label_of(*facts):
    events = told(IDS.case, [*opened(IDS), *facts])
    return standing(events).label()


def service(step):
    return noted(IDS, step, kind="service", addressee=HEALTH)


IN_REVIEW = (plan(IDS, 1), plan(IDS, 2), approved(IDS, 2), reviewed(IDS, 2))


@pytest.mark.parametrize(
    ("label", "facts"),
    [
        ("TRIAGED", ()),
        ("TRIAGED", (noted(IDS, "sent", addressee=DESK),)),
        ("FORWARDED", (noted(IDS, "sent"), noted(IDS, "delivered"))),
        ("SILENT", (noted(IDS, "sent"), noted(IDS, "escalated"))),
        ("ACKNOWLEDGED", (noted(IDS, "escalated"), noted(IDS, "acknowledged"))),
        ("TRIAGED", (noted(IDS, "acknowledged"), noted(IDS, "revoked"))),
        ("DETAILED_ASSESSED", (noted(IDS, "acknowledged"), assessed(IDS))),
        ("PLAN_SUBMITTED", (assessed(IDS), plan(IDS, 1))),
        ("PLAN_APPROVED", (plan(IDS, 1), approved(IDS, 1))),
        ("PLAN_APPROVED", (service("acknowledged"), plan(IDS, 1), approved(IDS, 1), service("sent"))),
        ("IN_SUPPORT", (plan(IDS, 1), approved(IDS, 1), service("acknowledged"))),
        ("PLAN_SUBMITTED", (plan(IDS, 1), approved(IDS, 1), plan(IDS, 2))),
        ("UNDER_REVIEW", IN_REVIEW),
        ("UNDER_REVIEW", (plan(IDS, 1), approved(IDS, 1), clock(c, "review", T0), breach(c, "review", T0))),
        ("UNDER_REVIEW", (*IN_REVIEW, ended(IDS))),
        ("PLAN_RENEWED", (*IN_REVIEW, ended(IDS, "risk_remains"))),
        ("CLOSED", (*IN_REVIEW, ended(IDS), closed(IDS))),
        ("TRANSFERRED_OUT", (closed(IDS, "moved"),)),
        ("UNVERIFIABLE", (closed(IDS, "not_confirmed"),)),
        ("NOT_ABUSE", (closed(IDS, "out_of_scope"),)),
    ],
)
def test_a_case_stands_where_the_first_matching_rule_says(label, facts):
    assert label == label_of(*facts)


def test_a_form_03_of_the_cycle_before_says_nothing_about_the_new_cycle():
    events = told(IDS.case, [*opened(IDS), noted(IDS, "acknowledged"), assessed(IDS, 1), ended(IDS)])
    assert "ACKNOWLEDGED" == standing(events).label()


def test_the_emergency_is_flagged_then_active_then_ended():
    over = c.EmergencyMeasureEnded(number=1, ended_at=T0, because="danger_over")
    histories = [opened(IDS), [*opened(IDS), *measure(IDS)], [*opened(IDS), *measure(IDS), over]]
    assert ["flagged", "active", "ended"] == [next(tracks_of(told(IDS.case, facts))).state for facts in histories]


def test_a_record_is_received_then_classified_then_followed():
    *_, (_, report), (_, screened) = reported(IDS)
    linked = i.CaseLinked(case_id=IDS.case, child_id=IDS.child)
    histories = [report, [*report, *screened], [*report, *screened, linked]]
    assert ["RECEIVED", "TRIAGED", "FOLLOWING"] == [standing(told(IDS.record, facts)).label() for facts in histories]


def test_a_contact_rings_is_answered_and_becomes_part_of_a_record():
    (_, rings), (_, answered), *_ = reported(IDS)
    assert "RINGING" == standing(told(IDS.contact, rings)).label()
    assert "ANSWERED" == standing(told(IDS.contact, [*rings, *answered])).label()
    assert "LINKED" == standing(told(IDS.contact, [*rings, *answered]), linked=True).label()


def test_a_delivered_hand_off_is_not_an_acknowledged_one_and_a_silent_one_stays_silent_until_somebody_takes_over():
    def stands(*facts):
        events = told(IDS.to_commune, [*sent(IDS), *facts])
        return standing(events).label()

    delivered = r.ReferralDelivered(of=IDS.of(), via="smtp_accepted", delivered_at=T0)
    attempts = r.ReferralEscalated(of=IDS.of(), level=1, to=[DESK], because="attempts")
    one = r.ReferralRevoked(of=IDS.of(), cases=[IDS.case], reason="not_needed")
    other = r.ReferralRevoked(of=IDS.of(), cases=[IDS.other_case], reason="not_needed")
    assert ["SENT", "DELIVERED", "ESCALATED", "SILENT", "ACKNOWLEDGED", "SENT", "REVOKED"] == [
        stands(),
        stands(delivered),
        stands(delivered, attempts),
        stands(delivered, *silent(IDS)),
        stands(*silent(IDS), *taken(IDS)),
        stands(one),
        stands(one, other),
    ]


def test_a_clock_done_late_is_met_late_and_its_breach_stays():
    (shown,) = clocks_of(
        told(IDS.case, [opened(IDS)[1], breach(c, "emergency", T0), c.ClockMet(clock="emergency", met_at=T0, late=True)])
    )
    assert ("met", True, True) == (shown.state, shown.breached, shown.late)


def test_a_recomputed_clock_keeps_the_due_time_it_had():
    due = T0 + 12 * HOUR
    moved = c.ClockRecomputed(clock="emergency", was_due_at=due, due_at=due + HOUR, because="calendar", rule="emergency@2017-07-01")
    events = told(IDS.case, [opened(IDS)[1], moved])
    (shown,) = clocks_of(events)
    assert ([due], due + HOUR) == (shown.was_due_at, shown.due_at)
    assert (due + HOUR, "emergency") == standing(events).due


def test_law_and_internal_limits_are_told_apart():
    shown = clocks_of(
        told(IDS.case, [clock(c, "emergency", T0), clock(c, "plan-internal", T0), clock(c, "of-a-newer-version", T0)])
    )
    assert ["Decree 56/2017 art. 26.3, 31.1", None, None] == [each.law for each in shown]


def test_a_silence_is_one_broken_promise_however_often_the_ladder_asked_again():
    events = told(
        IDS.to_commune,
        [*sent(IDS), *silent(IDS), breach(r, "acknowledgement", T0 + HOUR), clock(r, "acknowledgement", T0 + 2 * HOUR)],
    )
    assert ["restarted", "restarted", "running"] == [each.state for each in clocks_of(events)]
    (promise,) = standing(events).promises.values()
    assert (2, T0 + HOUR / 2, True) == (promise.broken, promise.breached_since, promise.owed)


def test_a_promise_kept_ends_the_chain_so_that_the_next_one_starts_unbroken():
    kept = c.ClockMet(clock="review", met_at=T0, late=True)
    events = told(IDS.case, [clock(c, "review", T0), breach(c, "review", T0), kept, clock(c, "review", T0 + timedelta(days=9))])
    (promise,) = standing(events).promises.values()
    assert (0, None, True) == (promise.broken, promise.breached_since, promise.owed)


def test_a_row_of_work_holds_no_personal_field():
    events = told(IDS.record, [fact for stream, facts in reported(IDS) if stream == IDS.record for fact in facts])
    row = work_of(standing(events))
    assert ("record", "TRIAGED", XA_LEAD, "98@2025-07-01") == (row.kind, row.label, row.lead, row.provinces)
    assert "Mẫu" not in str(row)


XA_LEAD = COMMUNE.place
