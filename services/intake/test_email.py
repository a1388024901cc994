"""Mails, from the exact bytes of the samples to hostile ones."""

import hashlib
import json
from base64 import b64encode
from datetime import UTC, datetime
from encodings.aliases import aliases
from pathlib import Path
from time import perf_counter
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.intake.adapters import charsets, email
from services.intake.adapters.delivery import LONGEST_TEXT, MOST_FILES, Delivery, File, clean
from services.intake.domain.contacts import ReceiveContact

SAMPLES = Path(__file__).parents[2] / "tests" / "channels"
MANIFEST = {case["file"]: case for case in json.loads((SAMPLES / "manifest.json").read_bytes())["cases"]}
REPORT, WRONG = ((SAMPLES / f"email/{name}.eml").read_bytes() for name in ("school-report", "wrong-encoding"))
CALLER, ARRIVAL, HANOI = UUID(int=1), datetime(2026, 3, 10, 2, 15, 30, tzinfo=UTC), "hanoi@2025-07-01"
HEAD = b"From: a@mail-mau.example\r\nMessage-ID: <1@mail-mau.example>\r\n"
LOST = "\N{REPLACEMENT CHARACTER}"


def contact(delivery: Delivery) -> ReceiveContact:
    command = delivery.contact(caller_id=CALLER, received_at=ARRIVAL, centre=HANOI)
    assert command is not None
    return command


def text_of(raw: bytes) -> str:
    return email.parse(raw).text or ""


def subject_of(header: bytes) -> str:
    return text_of(b"Subject: " + header + b"\r\n\r\n").removeprefix("Tiêu đề: ")


def mixed(*parts: bytes) -> bytes:
    return (
        HEAD
        + b'Content-Type: multipart/mixed; boundary="q"\r\n\r\n'
        + b"".join(b"--q\r\n" + part + b"\r\n" for part in parts)
        + b"--q--\r\n"
    )


# -- the samples -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "raw"), [("email/school-report.eml", REPORT), ("email/wrong-encoding.eml", WRONG)])
def test_the_samples_are_the_bytes_that_the_manifest_describes(file, raw):
    assert (MANIFEST[file]["bytes"], MANIFEST[file]["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())


def test_a_schools_report_becomes_a_contact_with_its_subject_and_picture():
    expected = ReceiveContact(
        channel="email",
        line="child",
        form="mail",
        received_at=ARRIVAL,
        sent_at=datetime(2026, 3, 10, 2, 15, 22, tzinfo=UTC),
        centre=HANOI,
        caller_id=CALLER,
        handle="gv.thu@truong-mau.example",
        text="Từ: Cô giáo Thử Thị Mẫu <gv.thu@truong-mau.example>\n"
        "Tiêu đề: Báo tin trẻ em bị bạo lực – lớp 5B\n"
        "\n"
        "Kính gửi Tổng đài,\n"
        "Trường chúng tôi phát hiện em Mẫu Thị Én, lớp 5B, có dấu hiệu bị bạo lực tại nhà.\n"
        "Đề nghị giữ bí mật người báo tin.\n"
        "Trân trọng.",
        files=["ảnh vết bầm.png (image/png, 70 bytes, sha256:6b7fa434f92a8b80aab02d9bf1a12e49ffcae424e4013a1c4f68b67e3d2bbcd0)"],
    )
    assert expected == contact(email.parse(REPORT))


def test_windows_1258_labelled_utf_8_is_read_by_a_guess_that_is_stated():
    delivery = email.parse(WRONG)
    assert ("contact", ("encoding-guessed",)) == (delivery.kind, delivery.remarks)
    text = contact(delivery).text or ""
    assert text.startswith("[Bảng mã khai trong thư không đúng: đọc phỏng đoán theo windows-1258.")
    assert text.endswith("Kính gửi: bé bị đánh")


# -- the row of the inbox --------------------------------------------------------------------------------------------------


def test_a_mail_is_known_again_by_its_message_id_and_a_changed_one_is_a_conflict():
    again, changed = email.parse(b"Received: from elsewhere\r\n" + REPORT), email.parse(REPORT.replace(b"bi\xe1\xba", b""))
    assert email.parse(REPORT).id == again.id == changed.id
    assert email.parse(REPORT).sha256 != again.sha256


def test_the_senders_own_wording_of_a_message_id_does_not_stand_in_causes_and_headers():
    raw = b"Message-ID: <nguyen.van.mau@may-nha.example>\r\n\r\nx"
    assert hashlib.sha256(b"<nguyen.van.mau@may-nha.example>").hexdigest() == email.parse(raw).id


@pytest.mark.parametrize("head", [b"", b"Message-ID: \r\n", b"Message-ID:   \r\n \r\n"])
def test_without_a_message_id_the_bytes_are_the_id(head):
    raw = head + b"Subject: x\r\n\r\nx"
    assert hashlib.sha256(raw).hexdigest() == email.parse(raw).id


@pytest.mark.parametrize(
    ("date", "sent_at"),
    [
        (b"Tue, 10 Mar 2026 09:15:22 +0700", datetime(2026, 3, 10, 2, 15, 22, tzinfo=UTC)),
        (b"Tue, 10 Mar 2026 09:15:22 -0000", datetime(2026, 3, 10, 9, 15, 22, tzinfo=UTC)),
        (b"yesterday", None),
        (b"", None),
        (b"Tue, 99 Mar 2026 09:15:22 +0700", None),
        (b"Tue, 10 Mar 2026 09:15:22 +9999999999999999", None),
    ],
)
def test_the_date_is_a_claim_and_one_that_is_none_is_left_out(date, sent_at):
    assert sent_at == email.parse(b"Date: " + date + b"\r\n\r\nx").sent_at


@pytest.mark.parametrize(
    ("sender", "handle"),
    [
        (b"a@mail-mau.example", "a@mail-mau.example"),
        (b"<a@mail-mau.example>", "a@mail-mau.example"),
        (b'"Th\xe1\xbb\xad <giam doc>" <a@mail-mau.example>', "a@mail-mau.example"),
        (b"", None),
        (b"<>", None),
        (b"((((((", "(((((("),
    ],
)
def test_the_handle_is_the_address_that_a_reply_would_go_to(sender, handle):
    assert handle == email.parse(b"From: " + sender + b"\r\n\r\nx").handle


@pytest.mark.parametrize(("value", "noticed"), [(b"auto-generated", True), (b"Auto-Replied; x=y", True), (b"no", False)])
def test_a_mail_sent_by_a_machine_is_a_contact_that_no_machine_answers(value, noticed):
    delivery = email.parse(HEAD + b"Auto-Submitted: " + value + b"\r\n\r\nB\xc3\xa1o tin")
    assert noticed == ("auto-submitted" in delivery.remarks)
    assert "contact" == delivery.kind
    assert noticed == (contact(delivery).text or "").startswith("[Thư do máy gửi tự động")


def test_the_mail_systems_notice_about_our_own_mail_is_no_contact():
    kind = b'Content-Type: multipart/report; report-type=delivery-status; boundary="q"\r\n\r\n--q\r\n\r\nx\r\n--q--\r\n'
    assert "no_contact" == email.parse(b"Return-Path: <>\r\n" + kind).kind
    assert "contact" == email.parse(b"Return-Path: <a@mail-mau.example>\r\n" + kind).kind


# -- headers in words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"=?UTF-8?Q?B=C3=A1o_tin?=", "Báo tin"),
        (b"=?utf-8?b?QsOhbw==?= =?utf-8?b?dGlu?=", "Báotin"),
        (b"=?utf-8?b?QsOhbw==?=\r\n\t=?utf-8?b?IHRpbg==?=", "Báo tin"),
        (b"Re: =?utf-8?q?B=C3=A1o?= tin", "Re: Báo tin"),
        (b"=?utf-8?b?Qg==?= =?utf-8*vi?q?=C3?= =?utf-8?q?=A1o?=", "Báo"),  # cut between the bytes of a letter
        (b"=?windows-1258?q?b=E9_bi=F2?=", "bé bị"),
        (b"=?utf-8?b?QsOhbw?=", "Báo"),  # padding forgotten
        (b"=?utf-8?b?A?=", "A"),
        (b"=?no-such-charset?q?Mau?=", "Mau"),
        (b"=?idna?q?Mau?= =?undefined?q?x?= =?hex?q?41?=", "Maux41"),
        (b"=?utf-8?q?=00=01?=", LOST * 2),
        (b"B\xc3\xa1o tin", "Báo tin"),
        (b"b\xe9 bi\xf2", "bé bị"),
        (b"Ba\xcc\x81o\r\n tin", "Ba\u0301o tin"),  # as it was sent
        (b"A\xe2\x80\xaegpj.exe", "Agpj.exe"),
    ],
)
def test_headers_are_read_in_words_whatever_was_done_to_them(header, words):
    assert words == subject_of(header)


# -- parts -----------------------------------------------------------------------------------------------------------------


def test_a_mail_of_html_alone_is_read_as_words_and_nothing_in_it_is_followed():
    html = "<style>p{}</style><p>Cháu &amp; bạn</p>1 < 2 <script>x()</script><br>Cứu <img src=http://a.example/x>cháu"
    raw = HEAD + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()
    assert "Từ: a@mail-mau.example\n\nCháu & bạn\n1 < 2\nCứu cháu" == text_of(raw)


def test_html_beside_a_plain_text_is_listed_as_a_file():
    delivery = email.parse(mixed(b"Content-Type: text/plain\r\n\r\nplain", b"Content-Type: text/html\r\n\r\n<p>rich"))
    assert "Từ: a@mail-mau.example\n\nplain" == delivery.text
    assert ["text/html"] == [file.media_type for file in delivery.files]


def test_a_forwarded_mail_is_read_with_its_parts():
    inner = b"Content-Type: message/rfc822\r\n\r\nSubject: trong\r\n\r\nnghe em"
    assert "nghe em" in text_of(mixed(b"\r\nxem duoi", inner))


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b'attachment; filename="a.png"', "a.png"),
        (b"attachment; filename*=UTF-8''%E1%BA%A3nh.png", "ảnh.png"),
        (b"attachment; filename*0*=UTF-8''%E1%BA%A3; filename*1=nh.png", "ảnh.png"),
        (b'attachment; filename="=?UTF-8?B?4bqjbmgucG5n?="', "ảnh.png"),
        (b'attachment; filename="\xe1\xba\xa3nh.png"', "ảnh.png"),
        (b"attachment; filename*=no-such''%41.png", "A.png"),
        (b'attachment; filename="a\xe2\x80\xaegnp.exe"', "agnp.exe"),
        (b"attachment", "không tên"),
        (b"inline; filename=x.txt", "x.txt"),
    ],
)
def test_an_attachment_is_listed_by_its_name_with_the_digest_of_its_bytes(disposition, name):
    part = b"Content-Type: text/plain\r\nContent-Disposition: " + disposition + b"\r\nContent-Transfer-Encoding: base64\r\n\r\nTUFV"
    expected = File(name, "text/plain", 3, hashlib.sha256(b"MAU").hexdigest())
    assert (expected,) == email.parse(mixed(b"\r\nthu", part)).files


@given(
    st.lists(
        st.tuples(st.sampled_from(["text/plain", "text/html", "image/png"]), st.text("abcđ", min_size=1)),
        max_size=6,
    )
)
def test_every_part_that_says_something_ends_in_the_text_or_among_the_files(parts):
    raw = mixed(*(f"Content-Type: {kind}; charset=utf-8\r\n\r\n{said}".encode() for kind, said in parts))
    delivery = email.parse(raw)
    listed = {file.sha256 for file in delivery.files}
    for _, said in parts:
        assert said in (delivery.text or "") or hashlib.sha256(said.encode()).hexdigest() in listed


def test_more_files_than_anybody_reads_are_counted():
    files = email.parse(mixed(*[b"Content-Type: image/png\r\n\r\nx"] * (MOST_FILES + 3)))
    assert ["+ 3 tệp khác trong bản gốc"] == (contact(files).files or [])[MOST_FILES:]


# -- charsets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "raw", "text", "remarks"),
    [
        ("utf-8", "Mẫu".encode(), "Mẫu", ()),
        ("windows-1258", b"bi\xf2", "bị", ()),
        ("us-ascii", "Mẫu".encode(), "Mẫu", ()),
        ("x-unknown", "Mẫu".encode(), "Mẫu", ()),
        ("utf-16", "Mẫu".encode("utf-16"), "Mẫu", ()),
        ("punycode", b"Mau-xyz", "Mau-xyz", ()),
        ("utf-8", b"\xff\x00\xfe\x01", LOST * 3 + "\x01", ("encoding-unreadable",)),
        ("utf-8", b"\xff\xf2\xf2", LOST * 3, ("encoding-unreadable",)),  # two marks on one letter are no Vietnamese
    ],
)
def test_text_is_read_as_declared_else_as_it_must_be_else_by_a_stated_guess_and_never_lost(charset, raw, text, remarks):
    head = b"Content-Type: text/plain; charset=" + charset.encode() + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    delivery = email.parse(head + b64encode(raw))
    assert (text, remarks) == (delivery.text, delivery.remarks)


def test_a_long_text_is_cut_between_letters_and_says_so():
    delivery = email.parse(HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + ("ẫ" * 30 * LONGEST_TEXT).encode())
    assert ("cut",) == delivery.remarks
    text = contact(delivery).text or ""
    assert LOST not in text
    assert text.startswith("[Nội dung bị cắt bớt")
    assert len(text) <= LONGEST_TEXT


def test_every_codec_of_python_that_may_read_a_mail_reads_bytes_as_text():
    for name in sorted(set(aliases.values())):
        text, remark = charsets.read(b"Mau", name)
        assert isinstance(text, str)
        assert remark in {None, charsets.GUESSED, charsets.UNREADABLE}


@given(st.sampled_from(sorted({*aliases, *aliases.values()})), st.binary(max_size=40))
def test_no_charset_and_no_bytes_raise(name, raw):
    clean(charsets.read(raw, name)[0])


@given(st.text(st.characters(), max_size=30))
def test_clean_text_is_the_same_text_but_for_nul_and_halves_of_pairs(text):
    shown = clean(text)
    shown.encode()
    assert "\0" not in shown
    if "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert text == shown


# -- hostile mail ----------------------------------------------------------------------------------------------------------

HOSTILE = {
    "nested parts": HEAD
    + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(300))
    + b"x\r\n" * 300_000,
    "nested mails": HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 3_000 + b"x",
    "parameters": HEAD + b"Content-Type: multipart/mixed" + b';"' * 250_000 + b"; boundary=q\r\n\r\n--q\r\n\r\nx\r\n",
    "continuations": HEAD + b"Content-Type: text/plain" + b"".join(b";name*%d=x" % n for n in range(100_000)) + b"\r\n\r\nx\r\n",
    "many parts": HEAD + b"Content-Type: multipart/mixed; boundary=q\r\n\r\n" + b"--q\r\n\r\nx\r\n" * 30_000,
    "comments": b"From: " + b"(" * 1_000_000 + b"\r\n\r\nx",
    "open tags": HEAD + b"Content-Type: text/html\r\n\r\n" + b"<a b='" * 500_000,
    "open scripts": HEAD + b"Content-Type: text/html\r\n\r\n" + b"<script>" * 500_000,
    "blanks": HEAD + b"Content-Type: text/html\r\n\r\n" + b"\t " * 500_000,
    "digits": HEAD + b"Content-Type: text/html\r\n\r\n&#" + b"9" * 500_000,
    "charset": HEAD + b"Content-Type: text/plain; charset=" + b"x" * 500_000 + b"\r\n\r\n\xff",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_mail_holds_up_the_others(name):
    start = perf_counter()
    command = contact(email.parse(HOSTILE[name]))
    assert perf_counter() - start < 5  # a second on a quiet machine; unguarded, minutes
    assert command.text or command.files


def test_a_mail_that_the_parser_cannot_bear_is_shown_as_it_came():
    delivery = email.parse(HOSTILE["nested parts"])
    assert ("contact", "malformed") == (delivery.kind, delivery.remarks[0])
    assert "boundary=b7" in (contact(delivery).text or "")


NAMES = [
    b"From",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"Content-Type",
    b"Content-Disposition",
    b"Content-Transfer-Encoding",
    b"Auto-Submitted",
]
VALUES = [
    b"text/plain; charset=", b"multipart/mixed; boundary=q", b"message/rfc822", b"multipart/report", b"base64", b"uuencode",
    b"quoted-printable", b"=?utf-8?b?", b"?=", b"filename*=", b"filename*0*=utf-8''%", b"charset*1=", b"\x00", b"<", b">", b'"',
    b"idna", b"attachment;", b"--q", b"10 Mar 2026", b"\xff\xed", b"\r\n ", b"(", b"1" * 30, b"unicode_escape", b"utf-7", b"x-uue",
]  # fmt: skip
headers = st.tuples(st.sampled_from(NAMES), st.lists(st.sampled_from(VALUES) | st.binary(max_size=5), max_size=4)).map(
    lambda drawn: drawn[0] + b": " + b"".join(drawn[1]) + b"\r\n"
)
contents = st.lists(
    st.sampled_from([*VALUES, b"--q\r\n", b"--q--\r\n", b"\r\n\r\n", b"begin 644 x\r\n", b"<![x["])
    | headers
    | st.binary(max_size=9)
)
made = st.tuples(st.lists(headers, max_size=6), contents).map(lambda drawn: b"".join(drawn[0]) + b"\r\n" + b"".join(drawn[1]))
broken = st.tuples(st.sampled_from([REPORT, WRONG]), st.integers(0, 1500), st.integers(0, 40), st.binary(max_size=6)).map(
    lambda drawn: drawn[0][: drawn[1]] + drawn[3] + drawn[0][drawn[1] + drawn[2] :]
)


@given(st.binary(max_size=300) | made | broken)
@example(b"Content-Type: text/plain; charset=\x80\r\n\r\n\x80")  # the library raises on these two, but for its decoded content
@example(b"Content-Type: text/plain; charset=\0\n\n\x80")
def test_no_bytes_raise_and_every_mail_but_a_returned_one_is_a_contact(raw):
    delivery = email.parse(raw)
    assert "contact" == delivery.kind
    contact(delivery)
    assert 64 == len(delivery.id) == len(delivery.sha256)
