"""Zalo's deliveries, from the exact bytes of the samples to hostile ones."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.kernel import Refused
from services.intake.adapters import zalo
from services.intake.adapters.delivery import LONGEST_TEXT, Delivery
from services.intake.domain.contacts import ReceiveContact

SAMPLES = Path(__file__).parents[2] / "tests" / "channels"
MANIFEST = {case["file"]: case for case in json.loads((SAMPLES / "manifest.json").read_bytes())["cases"]}
OURS = json.loads((SAMPLES / "secrets.json").read_bytes())["zalo"]
KEYS = {"app_id": OURS["app_id"], "secret": OURS["oa_secret_key"]}
TEXT = (SAMPLES / "zalo/text.body").read_bytes()
CALLER, ARRIVAL, HANOI = UUID(int=1), datetime(2026, 3, 10, 9, 5, 13, tzinfo=UTC), "hanoi@2025-07-01"


def headers(name: str) -> dict[str, str]:
    lines = (SAMPLES / f"zalo/{name}.headers").read_text("ascii").splitlines()[1:]
    return {key.lower(): value for key, _, value in (line.partition(": ") for line in lines if line)}


def signature(raw: bytes, stamp: str) -> str:
    return hashlib.sha256(KEYS["app_id"].encode() + raw + stamp.encode() + KEYS["secret"].encode()).hexdigest()


def body(**different) -> bytes:
    return json.dumps(json.loads(TEXT) | different, ensure_ascii=False).encode()


def contact(delivery: Delivery) -> ReceiveContact | None:
    return delivery.contact(caller_id=CALLER, received_at=ARRIVAL, centre=HANOI)


# -- the samples -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["text", "replay"])
def test_the_samples_are_the_bytes_that_the_manifest_describes_and_their_signature_holds(name):
    raw, sent = (SAMPLES / f"zalo/{name}.body").read_bytes(), headers(name)
    case = MANIFEST[f"zalo/{name}.body"]
    assert (case["bytes"], case["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())
    zalo.verify(raw, sent["x-zevent-signature"], sent["x-zevent-timestamp"], **KEYS)


def test_a_text_becomes_a_contact_received_on_arrival_and_sent_a_second_before():
    text = "Em là giáo viên. Bé Na lớp 3A có nhiều vết bầm ở lưng, bé nói sợ về nhà. Xin giữ kín tên em."
    expected = ReceiveContact(
        channel="zalo",
        line="child",
        form="message",
        received_at=ARRIVAL,
        sent_at=datetime(2026, 3, 10, 9, 5, 12, tzinfo=UTC),
        centre=HANOI,
        caller_id=CALLER,
        handle="246000000000000111",
        text=text,
    )
    assert expected == contact(zalo.parse(TEXT))


def test_a_replay_three_weeks_later_is_the_same_row_of_the_inbox():
    replay = (SAMPLES / "zalo/replay.body").read_bytes()
    assert zalo.parse(TEXT) == zalo.parse(replay)
    assert "96d3cdf3af150460909" == zalo.parse(replay).id


def test_a_changed_message_under_a_known_id_is_seen_to_be_another():
    first, second = zalo.parse(TEXT), zalo.parse(body(message={"text": "khác", "msg_id": "96d3cdf3af150460909"}))
    assert first.id == second.id
    assert first.sha256 != second.sha256


# -- signatures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["mac={}", "{}", " mac={} "])
def test_the_prefix_of_the_signature_may_be_missing(written):
    zalo.verify(TEXT, written.format(signature(TEXT, "1773133512000")), None, **KEYS)
    zalo.verify(TEXT, written.format(signature(TEXT, "1773133512000").upper()), None, **KEYS)


def test_the_signed_timestamp_may_be_that_of_the_header_alone():
    raw = body(timestamp="1773133512999")
    zalo.verify(raw, signature(raw, "1773133512000"), "1773133512000", **KEYS)
    zalo.verify(b"{not json", signature(b"{not json", "1773133512000"), "1773133512000", **KEYS)


def test_the_timestamp_of_the_body_may_be_a_number():
    raw = body(timestamp=1773133512000)
    zalo.verify(raw, signature(raw, "1773133512000"), None, **KEYS)
    assert datetime(2026, 3, 10, 9, 5, 12, tzinfo=UTC) == zalo.parse(raw).sent_at


GOOD = signature(TEXT, "1773133512000")


@pytest.mark.parametrize(
    ("raw", "given_signature", "stamp"),
    [
        (TEXT, None, None),
        (TEXT, "", "1773133512000"),
        (TEXT, "mac=", "1773133512000"),
        (TEXT, "mac=" + "0" * 64, "1773133512000"),
        (TEXT, GOOD[:-1], None),
        (TEXT, "mac=đ" + GOOD, None),
        (TEXT, "\udcff", None),
        (TEXT.replace(b"3A", b"3B"), GOOD, "1773133512000"),
        (TEXT + b" ", GOOD, "1773133512000"),
        (TEXT + b"177", GOOD, "3133512000"),
        (TEXT, hashlib.sha256(TEXT).hexdigest(), None),
        (TEXT, hashlib.sha256(b"other-app" + TEXT + b"1773133512000" + KEYS["secret"].encode()).hexdigest(), None),
    ],
)
def test_a_bad_or_foreign_signature_is_refused(raw, given_signature, stamp):
    with pytest.raises(Refused, match="bad-signature"):
        zalo.verify(raw, given_signature, stamp, **KEYS)


@pytest.mark.parametrize("wrong", [{"secret": "another"}, {"app_id": "1"}])
def test_nothing_is_accepted_under_a_wrong_secret_or_for_another_app(wrong):
    with pytest.raises(Refused, match="bad-signature"):
        zalo.verify(TEXT, GOOD, "1773133512000", **KEYS | wrong)


@given(st.binary(max_size=200), st.none() | st.text(max_size=80), st.none() | st.text(max_size=20))
def test_no_bytes_and_no_headers_raise_anything_but_a_bad_signature(raw, given_signature, stamp):
    with pytest.raises(Refused, match="bad-signature"):
        zalo.verify(raw, given_signature, stamp, **KEYS)


# -- events ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("user_send_text", "contact"),
        ("user_send_audio", "contact"),
        ("anonymous_send_text", "contact"),
        ("oa_send_text", "no_contact"),
        ("oa_send_anonymous_text", "no_contact"),
        ("user_seen_message", "no_contact"),
        ("user_received_message", "no_contact"),
        ("follow", "no_contact"),
        ("user_withdraw", "unknown"),
        ("user_call_oa", "unknown"),
        ("something_of_next_year", "unknown"),
        ("", "unknown"),
    ],
)
def test_what_a_user_says_is_a_contact_echoes_and_receipts_are_none_and_the_unknown_stays_visible(event, kind):
    delivery = zalo.parse(body(event_name=event))
    assert (kind, event) == (delivery.kind, delivery.event)
    assert (kind == "contact") == (contact(delivery) is not None)


def test_a_reaction_to_a_message_does_not_take_the_id_of_the_message():
    assert zalo.parse(TEXT).id != zalo.parse(body(event_name="user_reacted_message")).id


def test_pictures_are_noted_with_their_address_and_never_fetched():
    picture = {"type": "image", "payload": {"url": "https://zalo.example/a.jpg", "thumbnail": "https://zalo.example/t.jpg"}}
    message = {"msg_id": "m1", "attachments": [picture]}
    command = contact(zalo.parse(body(event_name="user_send_image", message=message)))
    assert command is not None
    assert (None, ["không tên (image, https://zalo.example/a.jpg)"]) == (command.text, command.files)


def test_a_file_is_noted_with_its_name_and_size():
    payload = {"url": "https://zalo.example/f", "name": "đơn.pdf", "size": 12345}
    message = {"msg_id": "m1", "attachments": [{"type": "file", "payload": payload}]}
    command = contact(zalo.parse(body(event_name="user_send_file", message=message)))
    assert command is not None
    assert ["đơn.pdf (file, 12345 bytes, https://zalo.example/f)"] == command.files


def test_where_a_child_is_stands_in_the_text():
    place = {"type": "location", "payload": {"coordinates": {"latitude": 21.0285, "longitude": "105.8542"}}}
    delivery = zalo.parse(body(event_name="user_send_location", message={"msg_id": "m1", "attachments": [place]}))
    assert "21.0285, 105.8542" == delivery.text


def test_big_ids_are_kept_digit_for_digit():
    raw = TEXT.replace(b'"246000000000000111"', b"246000000000000111246000000000000111")
    assert "246000000000000111246000000000000111" == zalo.parse(raw).handle


def test_an_unknown_user_is_known_by_the_conversation():
    assert "c-111" == zalo.parse(body(event_name="anonymous_send_text", sender={}, conversation_id="c-111")).handle


@pytest.mark.parametrize("message_id", [None, "", "x" * 129, "có dấu", "a b", "a\nb", ["a"], True])
def test_an_id_that_is_none_is_replaced_by_the_digest_of_the_bytes(message_id):
    raw = body(message={"text": "x", "msg_id": message_id})
    assert hashlib.sha256(raw).hexdigest() == zalo.parse(raw).id


# -- what cannot be read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"text"', b"NaN", b"\xff\xfe", b'{"a":' * 100_000, TEXT[:-1]])
def test_what_is_signed_but_no_message_is_kept_as_unreadable(raw):
    delivery = zalo.parse(raw)
    assert ("unreadable", hashlib.sha256(raw).hexdigest()) == (delivery.kind, delivery.id)
    assert contact(delivery) is None


def test_a_message_with_a_broken_byte_is_a_contact_all_the_same_and_says_so():
    command = contact(zalo.parse(TEXT.replace("bầm".encode(), b"b\xffm")))
    assert command is not None
    assert command.text is not None
    assert command.text.startswith("[Không xác định được bảng mã")
    assert "vết b\N{REPLACEMENT CHARACTER}m ở lưng" in command.text


def test_half_a_surrogate_pair_and_a_nul_do_not_reach_the_database():
    raw = TEXT.replace(b"Xin", b"\\ud83d Xin\\u0000 \\ud83d\\ude00")
    text = zalo.parse(raw).text
    assert text is not None
    assert "\N{REPLACEMENT CHARACTER} Xin\N{REPLACEMENT CHARACTER} 😀" in text


def test_a_message_longer_than_anybody_reads_is_cut_and_says_so():
    command = contact(zalo.parse(body(message={"text": "a" * 3 * LONGEST_TEXT, "msg_id": "m1"})))
    assert command is not None
    assert command.text is not None
    assert command.text.startswith("[Nội dung bị cắt bớt")
    assert len(command.text) <= LONGEST_TEXT


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["app_id", "sender", "recipient", "event_name", "message", "timestamp", "conversation_id"]
DEEPER = ["id", "text", "msg_id", "attachments", "payload", "type", "url", "coordinates", "latitude", "size", "name"]
shaped = st.fixed_dictionaries(
    {},
    optional={name: json_values | st.dictionaries(st.sampled_from(DEEPER), json_values, max_size=4) for name in FIELDS},
)


@given(shaped, st.sampled_from(["user_send_text", "user_send_file", "follow"]))
def test_no_json_of_whatever_shape_raises_and_a_contact_is_always_a_valid_command(values, event):
    raw = json.dumps({"event_name": event} | values).encode()
    delivery = zalo.parse(raw)
    contact(delivery)
    assert delivery.id.isascii()
    assert delivery.id.isprintable()
    assert 0 < len(delivery.id) <= 128


@given(
    st.binary(max_size=300)
    | st.integers(0, len(TEXT)).flatmap(lambda n: st.binary(max_size=4).map(lambda b: TEXT[:n] + b + TEXT[n + 2 :]))
)
def test_no_bytes_raise(raw):
    contact(zalo.parse(raw))
