"""Who may do what is data, and the data is whole."""

import pytest

from contracts import cases, codes, data, intake, notifications, projections, referrals

ROLES = data.read("roles.yaml")
TWO_PERSONS = {"ApprovePlan": "SubmitPlan", "CloseCase": "RecordReview", "CloseIntervention": "RecordReview"}


def rows():
    return [(name, row) for table in ("commands", "views") for name, row in ROLES[table].items()]


@pytest.mark.parametrize(("name", "row"), rows())
def test_every_row_speaks_of_known_roles_and_relations(name, row):
    assert row, "nobody may: then it is no row"
    assert set() == set(row) - set(ROLES["roles"])
    assert set() == set(row.values()) - set(ROLES["relations"])


def test_every_command_belongs_to_a_log_and_every_log_has_its_clocks():
    logs = {module.__name__.rpartition(".")[2] for module in (intake, cases, referrals, notifications, projections)}
    assert logs == {name.partition(".")[0] for name in ROLES["commands"]}
    for log in logs:
        assert ROLES["commands"][f"{log}.BreachClock"] == {"system": "any"}
        assert "system" not in ROLES["commands"][f"{log}.WaiveClock"], "a waiver is two people's"


def test_every_view_is_a_code_but_the_board_of_parked_facts():
    assert {"parked"} == set(ROLES["views"]) - set(codes.codes("view"))


def test_operators_command_nothing_but_what_becomes_of_a_parked_fact():
    theirs = {name.partition(".")[2] for name, row in ROLES["commands"].items() if "operator" in row}
    assert {"RetryParked", "DiscardParked"} == theirs


@pytest.mark.parametrize(("second", "first"), TWO_PERSONS.items())
def test_who_prepares_is_not_who_decides(second, first):
    assert set() == set(ROLES["commands"][f"cases.{second}"]) & set(ROLES["commands"][f"cases.{first}"])


def test_a_link_acknowledges_its_own_referral_and_can_do_nothing_else():
    assert {name: row["link"] for name, row in rows() if "link" in row} == {
        "referrals.RecordDelivery": "addressed",
        "referrals.AcknowledgeReferral": "addressed",
    }


def test_auditors_ask_for_bundles_and_command_nothing_else_and_do_not_approve_them():
    asked = {name.partition(".")[2] for name, row in ROLES["commands"].items() if "auditor" in row}
    assert {"RequestBundle", "ExportBundle"} == asked


def test_researchers_command_nothing_and_auditors_see_no_sealed_text():
    commanding = {role for row in ROLES["commands"].values() for role in row}
    assert "researcher" not in commanding
    assert set() == {"file", "timeline", "hand_off", "informant"} & {
        view for view, row in ROLES["views"].items() if "auditor" in row
    }
