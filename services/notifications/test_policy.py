"""Who stands how to a thread of messages."""

import pytest

from chassis.identity import Capacity
from services.notifications.domain.queueing import CancelMessage
from services.notifications.policy import relations
from services.notifications.test_samples import FIRST, TINH, XA, given, queued, say

THREAD = given(*queued()).state


@pytest.mark.parametrize(
    ("capacity", "expected"),
    [
        (Capacity("c-1", "counsellor"), {"line"}),
        (Capacity("s-1", "supervisor"), {"line"}),
        (Capacity("h-1", "commune_chair", XA), {"lead", "incident", "addressed", "agency"}),
        (Capacity("h-1", "commune_chair", "99803@2025-07-01"), set()),
        (Capacity("p-1", "provincial_officer", TINH), {"province"}),
        (Capacity("p-1", "provincial_officer", "01@2025-07-01"), set()),
        (Capacity("a-1", "agency_user", agency=f"police@{XA}"), set()),
        (Capacity("a-1", "agency_user", agency=f"commune_pc@{XA}"), {"lead", "incident", "addressed", "agency"}),
        (Capacity("d-1", "data_officer"), set()),
    ],
)
def test_a_capacity_stands_to_a_thread_by_its_recipient(capacity, expected):
    assert expected == relations(THREAD, capacity)
    assert expected == relations(None, capacity, say(FIRST))


def test_without_a_thread_and_a_recipient_only_the_line_is_related():
    assert set() == relations(None, Capacity("p-1", "provincial_officer", TINH), CancelMessage(because="revoked"))
    assert {"line"} == relations(None, Capacity("s-1", "supervisor"), CancelMessage(because="revoked"))
