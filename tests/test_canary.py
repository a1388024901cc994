"""Canaries: an invented mark in every personal field and through every channel, driven through the running line, then looked for in
everything the line leaves behind: 0 hits, in every spelling in which bytes hide.

What may hold a plain word in this slice: process memory, and answers to those who may read. No file, table, topic, log, trace, metric
or mail of ours. One folder below the stack is not ours: the mail server that plays the world keeps the mail it was given for the line.
"""

import base64
import json
import smtplib
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote
from uuid import UUID, uuid4

import psycopg
import pytest
import yaml

from contracts.ids import case_of
from contracts.references import reference
from deploy.local.environment import HERE, ZALO_APP_ID
from deploy.local.stack import SERVICES
from tests.faults.canary import LINES_OWN_MAILBOX, files_below, hits, spellings, tables
from tests.line import COMMUNE, MAIL, OTHER_COMMUNE, PROVINCE, call, child, eventually, link_in, report, screening, text_of

pytestmark = [pytest.mark.real, pytest.mark.slow]
REGISTER = Path(__file__).parents[1] / "contracts" / "register.yaml"
MARK, BARE = "Ốc Bươu Đỏ", "Oc Buou Do"
"""Stands in every personal value below and nowhere else in the world; BARE is what is left of it without diacritics."""
CLEAR = "Thuyền Giấy Vàng"
"""The control: stands in `office`, which the contracts leave clear, so the same search must find it."""
ADDRESS = "truc@canary-mau.example"
"""Where an agency's mail goes: known to the mail server, sealed with us."""
CODES = {"online", "relation_to_child", "sex", "relation", "language"}
"""Personal fields that take a code or a truth value and can carry no mark."""


def mark(field):
    return f"{MARK} {field}"


# -- what is said --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def left(line):
    """A case from call to closure, a Zalo message, a mail and much that is refused, all of it marked, at rest on the disk."""
    s = SimpleNamespace(refused=[], used=set())
    record(line, s)
    protect(line, s)
    write_in(line, s)
    look_for(line, s)
    refuse(line, s)
    line.rest()
    line.flush_traces()
    with psycopg.connect(line.stack.postgres.uri("postgres"), autocommit=True) as db:
        db.execute("CHECKPOINT")
    return s


def marked(s, fact, *fields):
    """Marks for these fields of a fact, remembered as used."""
    s.used |= {(fact, field) for field in fields}
    return {field.rpartition(".")[2]: mark(f"{fact}.{field}") for field in fields}


def record(line, s):
    contacts = [{"channel": "email", "address": ADDRESS, "hours": mark("contacts")}]
    body = {"role": "provider", "place": PROVINCE, "label": "Nơi hỗ trợ (mẫu)", "valid_from_on": "2025-07-01", "contacts": contacts}
    line.done("/referrals/v1/agencies", body, "GS-01")
    eventually(lambda: line.rows("referrals", "SELECT FROM agency WHERE role = 'provider'"))
    s.used.add(("AgencyRegistered", "contacts"))
    said = marked(s, "ContactReceived", "handle", "text") | {"files": [mark("files")]}
    sneaky = {"baggage": f"name={quote(MARK)}", "tracestate": f"h111={BARE.replace(' ', '')}", "user_agent": BARE}
    sneaky["traceparent"] = f"00-{uuid4().hex}-00f067aa0ba902b7-01"
    s.contact = line.post("/intake/v1/contacts", call(line, **said), **sneaky).raise_for_status().json()
    path = f"/intake/v1/contacts/{s.contact['id']}"
    line.done(f"{path}/classification", {"kind": "report", "tier": "case", "topics": [mark("topics")]})
    s.used |= {("ContactReceived", "files"), ("ContactClassified", "topics")}
    words = [
        "name",
        "birth",
        "marks",
        "personal_id",
        "address",
        "school",
        "ethnicity",
        "state",
        "household",
        "setting",
        "narrative",
    ]
    lists = ["groups", "concerns", "grounds"]
    about = {each: mark(f"child.{each}") for each in words} | {each: [mark(f"child.{each}")] for each in lists}
    s.used |= {("ReportReceived", f"children[].{each}") for each in (*words, *lists)}
    s.child = child(online=True, **about)
    alleged = {"person_id": str(uuid4()), "relation_to_child": "father", "sex": "male"}
    alleged |= marked(s, "ReportReceived", *(f"alleged[].{each}" for each in ("name", "age", "address", "note")))
    informant = {"person_id": str(uuid4()), "agrees_to_be_named": False, "relation": "neighbour"}
    informant |= marked(s, "ReportReceived", *(f"informant.{each}" for each in ("name", "phone", "address")))
    form = report(line, s.contact, s.child, commune=OTHER_COMMUNE, alleged=[alleged], informant=informant)
    s.record = line.done("/intake/v1/records", form)
    note = {"child_id": s.child["child_id"]} | marked(s, "ReportScreened", "children[].note")
    path = f"/intake/v1/records/{s.record['id']}/screening"
    line.done(path, screening(OTHER_COMMUNE, children=[note]), seen=s.record["version"])
    asked = {"right": "copy", "received_at": line.now().isoformat(), "authority": "representative"}
    asked |= marked(s, "DataRequestReceived", "statement")
    line.done(f"/intake/v1/persons/{s.child['child_id']}/data-requests", asked)
    s.case = f"/cases/v1/cases/{case_of(UUID(s.record['id']), UUID(s.child['child_id']))}"


def protect(line, s):
    sent = line.fact("referrals.ReferralSent", of__record_id=s.record["id"], of__kind="handover")
    words = [{"child_id": s.child["child_id"]} | marked(s, "AttemptRecorded", "words[].text")]
    tried = {"via": "phone", "to": "trực ban", "result": "no_answer", "words": words}
    line.done(f"/referrals/v1/referrals/{sent.stream}/attempts", tried)
    link = link_in(line.mail(MAIL["commune_pc", OTHER_COMMUNE][0], reference("H", sent.position)))
    s.token = link.rpartition("/")[2]
    line.http.get(link, headers={"user-agent": BARE})
    taker = marked(s, "ReferralAcknowledged", "name", "phone") | {"office": CLEAR}
    assert "Đã tiếp nhận" in line.http.post(link, data=taker, headers={"user-agent": BARE}).text
    line.fact("intake.CaseLinked", s.record["id"])
    police = {"role": "police", "place": COMMUNE}
    eventually(lambda: 3 == len(line.state(s.case)["hand_offs"]))
    measure = {"measure": "shelter", "by": police, "applied_at": line.now().isoformat()}
    line.done(f"{s.case}/emergency-measures", measure | marked(s, "EmergencyMeasureApplied", "place", "note"), "CAX-99801")
    answers = [{"row": "form03.harm.severity", "level": "high", "note": mark("form03")}]
    assessed = {"form": "form03@2017-07-01", "level": "high", "answers": answers}
    assessed |= marked(s, "DetailedAssessmentRecorded", "child_wishes", "family_wishes", "needs")
    line.done(f"{s.case}/detailed-assessments", assessed, "CB-99803")
    item = {"item": 1, "service": "medical", "provider": {"role": "provider", "place": PROVINCE}, "due_on": "2030-01-15"}
    plan = {"items": [item], "review_on": "2030-02-01"} | marked(s, "PlanSubmitted", "goals", "activities")
    plan = line.done(f"{s.case}/plans", plan, "CB-99803")
    s.salt = plan["told"][0]["fact"]["salt"]
    decision = {"digest": plan["state"]["plan"]["digest"], "decision_no": "01/QĐ"}
    line.decided(f"{s.case}/plan-approvals", decision, "CT-99803", of=s.case).raise_for_status()
    service = f"/referrals/v1/referrals/{line.fact('referrals.ReferralSent', of__record_id=s.record['id'], of__item=1).stream}"
    taker = {"via": "phone", "office": "Trực (mẫu)", "taker_id": str(uuid4())} | marked(s, "ReferralAcknowledged", "name", "phone")
    line.done(f"{service}/acknowledgement", taker)
    done = [{"child_id": s.child["child_id"]} | marked(s, "ReferralCompleted", "report[].text")]
    line.done(f"{service}/completion", {"result": "done", "report": done})
    line.done(
        f"{s.case}/emergency-endings", {"number": 1, "ended_at": line.now().isoformat(), "because": "danger_over"}, "CAX-99801"
    )
    answers = [{"row": "form06.harm.severity", "level": "low", "note": mark("form06")}]
    line.done(f"{s.case}/reviews", {"form": "form06@2017-07-01", "conclusion": "close", "answers": answers}, "CB-99803")
    s.used |= {("DetailedAssessmentRecorded", "answers"), ("ReviewRecorded", "answers")}
    closing = {"outcome": "goals_met", "revoke": []} | marked(s, "InterventionClosed", "note")
    line.decided(f"{s.case}/intervention-closures", closing, "CT-99803", of=s.case).raise_for_status()
    closing = {"reason": "settled"} | marked(s, "CaseClosed", "note")
    line.decided(f"{s.case}/closure", closing, "CT-99803", of=s.case).raise_for_status()


def write_in(line, s):
    """A Zalo message and a mail, and deliveries whose very ids and names are words."""
    secret = (HERE / "zalo-oa-secret").read_text(encoding="utf-8").strip()
    attachment = {"type": "file", "payload": {"name": mark("zalo.file"), "url": f"https://zalo.example/{quote(MARK)}"}}
    message = {"text": mark("zalo.text"), "msg_id": uuid4().hex, "attachments": [attachment]}
    usual = {"app_id": ZALO_APP_ID, "sender": {"id": mark("zalo.sender")}, "event_name": "user_send_text", "message": message}
    for change in ({}, {"message": message | {"msg_id": mark("zalo.id")}}, {"event_name": mark("zalo.event")}):
        raw = json.dumps(usual | change | {"timestamp": "1773133512000"}, ensure_ascii=False).encode()
        mac = sha256(ZALO_APP_ID.encode() + raw + b"1773133512000" + secret.encode()).hexdigest()
        headers = {"x-zevent-signature": f"mac={mac}", "x-zevent-timestamp": "1773133512000"}
        line.http.post(f"{line.stack.urls['front']}/intake/v1/channels/zalo", content=raw, headers=headers).raise_for_status()
        s.refused.append(line.http.post(f"{line.stack.urls['front']}/intake/v1/channels/zalo", content=raw))
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = (
        f"{mark('mail.from')} <ai@nguoi-dan.example>",
        LINES_OWN_MAILBOX,
        mark("mail.subject"),
    )
    mail["Message-ID"] = f"<{uuid4()}@nguoi-dan.example>"
    mail.set_content(mark("mail.text"))
    mail.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename=mark("mail.file.png"))
    with smtplib.SMTP("127.0.0.1", line.stack.smtp.port) as smtp:
        smtp.send_message(mail, "ai@nguoi-dan.example", [LINES_OWN_MAILBOX])
    s.written = eventually(lambda: [e for e in line.facts("intake.ContactReceived") if e.fact.channel == "email"])


def look_for(line, s):
    """Searches that find the child, and one that finds nobody."""
    s.found = line.search(mark("child.name")).raise_for_status().json()
    line.search(BARE, "GS-01").raise_for_status()
    line.search(marked(s, "SearchMade", "query")["query"], hotline_reason="safety").raise_for_status()


def refuse(line, s):
    """Everything that is refused: the words are in the values, the names, the path, the query and the headers."""
    said = mark("refused")
    contact = call(line)
    broken = [
        {"channel": said},
        {"received_at": said},
        {"centre": said},
        {"caller_id": said},
        {"text": [said]},
        {"line": {said: said}},
    ]
    s.refused += [line.post("/intake/v1/contacts", contact | each) for each in broken]
    record = f"/intake/v1/records/{s.record['id']}"
    s.refused += [
        line.post(f"{record}/screening", {"decision": said}, seen=1),
        line.post(f"{s.case}/reviews", {"form": said, "conclusion": said, "answers": said}, "CB-99803"),
        line.post(
            f"{s.case}/detailed-assessments",
            {"form": "form03@2017-07-01", "level": "high", "answers": [], "needs": said},
            "CB-99803",
        ),
        line.post("/referrals/v1/agencies", {"role": said, "contacts": said}, "GS-01"),
        line.post("/cases/v1/cases/x/plans", {"goals": said}, "CB-99803", idempotency_key=BARE),
        line.post(f"{s.case}/closure", {"reason": "settled", "note": said}, "CT-99803", seen=BARE),
        line.get(f"/intake/v1/contacts/{quote(said)}"),
        line.get(f"/nowhere/v1/{quote(said)}"),
        line.get(f"/intake/v1/{quote(said)}/{quote(said)}"),
        line.get(f"/referrals/v1/agencies?role={quote(said)}&place={quote(said)}&on={quote(said)}"),
        line.get(f"/referrals/v1/acknowledgements/{quote(said)}", None),
        line.get(f"/projections/v1/cases/{quote(said)}?as_of={quote(said)}", hotline_purpose=BARE),
        line.get(f"/projections/v1/worklists/mine?after={quote(said)}", hotline_as=BARE),
        line.get("/projections/v1/worklists/mine", hotline_wait_for=BARE),
        line.get("/intake/v1/contacts/x", None, authorization=f"Bearer {BARE}"),
        line.search(said, "CAX-99801"),
        line.search(said * 30),
        line.search(said, hotline_purpose=BARE),
        line.get(f"/projections/v1/searches?from={quote(said)}", "KTV-01", hotline_purpose="audit"),
    ]


# -- what is looked through ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(line, left):
    """Every file below the stack's folder: data of PostgreSQL and its WAL, segments of Kafka, logs, traces, mailboxes, secrets."""
    found = list(files_below(line.stack.home))
    folders = {path.split("/")[0] for path, _ in found}
    assert {"postgres", "kafka", "logs", "traces", "smtp", "oidc", "secrets"} <= folders
    assert any("postgres/data/pg_wal/" in path for path, _ in found)
    return found


def test_every_personal_field_of_the_register_was_said_with_a_mark(left):
    personal = {(each["fact"], each["field"]) for each in yaml.safe_load(REGISTER.read_text(encoding="utf-8"))}
    unmarked = {(fact, field) for fact, field in personal - left.used if field.rpartition(".")[2] not in CODES}
    assert {("PlanSubmitted", "salt"), ("ReferralSent", "digests[].salt")} == unmarked  # ours: the first is looked for by its value
    assert set() == left.used - personal


def test_no_word_is_in_any_file_that_the_line_leaves_behind(files):
    assert [] == hits([(path, content) for path, content in files if LINES_OWN_MAILBOX not in path], MARK)


def test_no_word_is_in_any_table(line, left):
    assert [] == hits(tables(line), MARK)


def test_the_same_search_finds_what_the_contracts_leave_clear(line, files):
    found = {where for where, _ in hits(files, CLEAR)}
    for place in ("postgres/data/base/", "postgres/data/pg_wal/", "kafka/data/hotline.referrals.events.v1-0/"):
        assert any(where.startswith(place) for where in found), place
    assert {"referrals.event", "projections.history"} <= {where for where, spelled in hits(tables(line), CLEAR) if spelled == "hex"}


def test_the_mail_host_of_the_line_keeps_the_mail_it_was_given(files):
    assert hits([(path, content) for path, content in files if LINES_OWN_MAILBOX in path], MARK)


def test_the_salt_of_a_plan_is_nowhere(line, left, files):
    assert [] == hits([*files, *tables(line)], left.salt)


def test_the_address_of_an_agency_is_known_to_the_mail_server_and_to_nobody_else(line, files):
    contents = [(path, content) for path, content in files if not path.startswith("smtp/")]
    assert [] == hits([*contents, *tables(line)], ADDRESS)


def test_the_link_is_in_the_mail_and_in_no_event_log_line_or_trace(line, left, files):
    contents = [(path, content) for path, content in files if not path.startswith("smtp/")]
    assert [] == hits([*contents, *tables(line)], left.token)


def test_a_search_finds_the_child_by_its_mark_and_answers_without_a_word(left):
    assert ["child_name"] == [hit["matched"]["code"] for hit in left.found["hits"]]
    assert [] == hits([("the answer", json.dumps(left.found, ensure_ascii=False).encode())], MARK)


def test_no_mail_that_was_sent_holds_a_word(line, left):
    mails = [
        mail for folder in line.stack.smtp.folder.iterdir() for mail in line.mails(folder.name) if folder.name != LINES_OWN_MAILBOX
    ]
    assert any(left.token in text_of(mail) for mail in mails)
    assert [] == hits([(mail["To"], f"{mail.items()} {text_of(mail)}".encode()) for mail in mails], MARK)


def test_no_page_of_metrics_holds_a_word(line, left):
    names = [f"{service}{suffix}" for service in SERVICES for suffix in ("", ".worker")]
    pages = [(name, line.get(f"{line.stack.urls[name]}/metrics", None).content) for name in names]
    assert all(b"hotline_relay_position" in page for name, page in pages if name.endswith(".worker"))
    assert ["projections"] == [name for name, page in pages if b"hotline_search_persons" in page]  # names are opened there alone
    assert [] == hits(pages, MARK)


def test_no_problem_repeats_a_word_of_what_was_refused(left):
    assert [] == [answer.text for answer in left.refused if not 400 <= answer.status_code < 500]
    answers = [(str(answer.request.url), f"{answer.headers} {answer.text}".encode()) for answer in left.refused]
    assert [] == hits(answers, MARK)


def test_the_marks_are_readable_for_whoever_may_read_them(line, left):
    path = f"/projections/v1/records/{left.record['id']}"
    position = f"intake:{left.record['told'][-1]['position']}"
    assert mark("child.narrative") in line.get(path, hotline_purpose="duty", hotline_wait_for=position).text


@pytest.mark.parametrize("spelled", spellings(MARK).values())
def test_the_search_finds_every_spelling(spelled):
    (content,) = [b"x" * 7 + each + b"y" * 5 for each, name in spellings(MARK).items() if name == spelled]
    assert ("there", spelled) in hits([("there", content)], MARK)


@pytest.mark.parametrize("shift", range(6))
def test_the_search_finds_base_64_wherever_it_is_cut(shift):
    content = base64.b64encode(b"a" * shift + f"trước {MARK} sau".encode())
    assert hits([("there", content)], MARK)
