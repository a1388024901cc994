"""The acknowledgement page, over a real PostgreSQL: one link, one page, one button, and what happens to everybody who tries more."""

import asyncio
import re
from datetime import date, timedelta
from html.parser import HTMLParser
from itertools import count
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from chassis.links import token_of
from chassis.settings import key_from
from contracts.calendar import local_day
from services.referrals.adapters.page import PER_MINUTE
from tests.desk import desk

pytestmark = [pytest.mark.anyio, pytest.mark.real]
PATH = "/referrals/v1/acknowledgements/"
FORM = {"name": "Thử Văn Nhận", "office": "UBND Xã Suối Mẫu", "phone": "0320000017"}
WORDS = "Điều đã nói về trẻ (mẫu)"
days = count()


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def referrals(postgres, tmp_path_factory):
    """The API of referrals, with the loop that keeps its directory."""
    async with desk(postgres, "referrals", tmp_path_factory.mktemp("page"), role="worker") as it:
        follow = asyncio.create_task(it.service.loops["tables"](lambda: None))
        yield it
        follow.cancel()


@pytest.fixture
async def hand_off(referrals):
    """A hand-off in an emergency to the commune, as if just sent, and its link."""
    agency = {"role": "commune_pc", "place": "99801@2025-07-01", "label": "UBND Xã Suối Mẫu", "contacts": []}
    day = (date(2025, 7, 1) + timedelta(days=next(days))).isoformat()
    registered = await referrals.post("/referrals/v1/agencies", agency | {"valid_from_on": day}, "GS-01", ("supervisor",))
    assert 201 == registered.status_code, registered.text
    where = f"/referrals/v1/agencies?role=commune_pc&place=99801@2025-07-01&on={local_day(referrals.parts.time.now())}"
    async with asyncio.timeout(20):
        while registered.json()["id"] not in (await referrals.get(where)).text:
            await asyncio.sleep(0.02)
    record, child = str(uuid4()), str(uuid4())
    of = {
        "kind": "handover",
        "record_id": record,
        "cases": [str(uuid4())],
        "children": [child],
        "addressee": {"role": "commune_pc", "place": "99801@2025-07-01"},
        "centre": "hanoi@2025-07-01",
        "emergency": True,
    }
    sent = await referrals.post("/referrals/v1/referrals", {"of": of})
    assert 201 == sent.status_code, sent.text
    stream = sent.json()["id"]
    attempt = {"via": "phone", "to": "trực ban", "result": "no_answer", "words": [{"child_id": child, "text": WORDS}]}
    assert (await referrals.post(f"/referrals/v1/referrals/{stream}/attempts", attempt)).is_success
    key = key_from(referrals.parts.settings.link_key_file)
    agency_id = UUID(registered.json()["id"])
    return SimpleNamespace(
        stream=stream, cases=of["cases"], agency=agency_id, key=key, link=PATH + token_of(key, UUID(stream), agency_id)
    )


async def state(referrals, hand_off):
    answer = await referrals.get(f"/referrals/v1/referrals/{hand_off.stream}")
    return answer.json()["state"] | {"version": answer.json()["version"]}


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def named(self, *names):
        return [attrs for tag, attrs in self.found if tag in names]


# The page


async def test_it_says_how_urgent_what_where_how_many_until_when_and_whom_to_call(referrals, hand_off):
    page = await referrals.http.get(hand_off.link)
    assert 200 == page.status_code
    for said in ("KHẨN CẤP", "chuyển xã", "Xã Suối Mẫu", "Số trẻ em</dt><dd>1", "Cần tiếp nhận trước", "111"):
        assert said in page.text, said
    assert re.search(r"H-[0-9A-Z]{3,}-[0-9A-W]", page.text)


async def test_it_names_no_child_and_tells_no_story(referrals, hand_off):
    page = await referrals.http.get(hand_off.link)
    assert WORDS not in page.text
    assert hand_off.cases[0] not in page.text


async def test_it_is_one_small_request_without_script_cookie_referrer_or_anything_from_elsewhere(referrals, hand_off):
    page = await referrals.http.get(hand_off.link)
    tags = Tags(page.text)
    assert len(page.content) < 15_000
    assert [] == tags.named("script", "img", "link", "iframe", "object", "embed", "video", "audio", "base", "a")
    assert [] == [name for _, attrs in tags.found for name in attrs if name.startswith("on") or name in ("src", "href", "action")]
    assert not re.search(r"url\(|@import|https?:", page.text)
    assert "set-cookie" not in page.headers
    assert ("no-referrer", "no-store", "noindex") == tuple(
        page.headers[name] for name in ("referrer-policy", "cache-control", "x-robots-tag")
    )
    assert page.headers["content-security-policy"].startswith("default-src 'none'; form-action 'self'; frame-ancestors 'none'")


async def test_it_has_one_form_with_a_name_an_office_and_one_button_in_vietnamese_for_a_telephone(referrals, hand_off):
    tags = Tags((await referrals.http.get(hand_off.link)).text)
    assert ["post"] == [form.get("method") for form in tags.named("form")]
    assert ["name", "office", "phone"] == [field["name"] for field in tags.named("input")]
    assert [True, True, False] == ["required" in field for field in tags.named("input")]
    assert 1 == len(tags.named("button"))
    assert "vi" == tags.named("html")[0]["lang"]
    assert any("width=device-width" in (meta.get("content") or "") for meta in tags.named("meta"))
    assert {field["id"] for field in tags.named("input")} == {label["for"] for label in tags.named("label")}


# Opening


async def test_opening_is_delivery_and_no_acknowledgement(referrals, hand_off):
    before = await state(referrals, hand_off)
    await referrals.http.get(hand_off.link)
    after = await state(referrals, hand_off)
    assert (None, None) == (before["delivered_at"], before["acknowledged_at"])
    assert (True, None) == (after["delivered_at"] is not None, after["acknowledged_at"])
    assert "acknowledgement" in after["clocks"]


async def test_opening_again_changes_nothing(referrals, hand_off):
    first = await referrals.http.get(hand_off.link)
    once = await state(referrals, hand_off)
    again = await referrals.http.get(hand_off.link)
    assert (first.content, once) == (again.content, await state(referrals, hand_off))


async def test_a_preview_that_asks_for_the_head_only_leaves_nothing_behind(referrals, hand_off):
    before = await state(referrals, hand_off)
    answer = await referrals.http.head(hand_off.link)
    assert answer.status_code < 500
    assert before == await state(referrals, hand_off)


@pytest.mark.parametrize("agent", ["facebookexternalhit/1.1", "ZaloBot/1.0 (link preview)", "Mozilla/5.0 Outlook SafeLinks"])
async def test_a_preview_that_opens_the_page_takes_nothing_over(referrals, hand_off, agent):
    await referrals.http.get(hand_off.link, headers={"user-agent": agent})
    assert (await state(referrals, hand_off))["acknowledged_at"] is None


# Taking over


async def test_a_name_an_office_and_the_button_take_the_matter_over(referrals, hand_off):
    page = await referrals.http.post(hand_off.link, data=FORM)
    assert 200 == page.status_code
    assert re.search(r"Đã tiếp nhận lúc \d\d:\d\d ngày \d\d/\d\d/\d{4}", page.text)
    assert [] == Tags(page.text).named("form", "button")
    now = await state(referrals, hand_off)
    assert now["acknowledged_at"] is not None
    assert "acknowledgement" not in now["clocks"]


async def test_whoever_comes_second_gets_the_first_answer_and_nothing_new_is_recorded(referrals, hand_off):
    await referrals.http.get(hand_off.link)
    first = await referrals.http.post(hand_off.link, data=FORM)
    once = await state(referrals, hand_off)
    second = await referrals.http.post(hand_off.link, data=FORM | {"name": "Giả Văn Sau"})
    opened = await referrals.http.get(hand_off.link)
    assert (first.content, first.content) == (second.content, opened.content)
    assert once == await state(referrals, hand_off)


async def test_twenty_who_press_the_button_at_once_are_one_acknowledgement(referrals, hand_off):
    async def press(n):
        return await referrals.http.post(hand_off.link, data=FORM | {"name": f"Thử Văn {n}"})

    pages = await asyncio.gather(*(press(n) for n in range(20)))
    assert {200} == {page.status_code for page in pages}
    assert 1 == len({page.content for page in pages})
    rows = await referrals.parts.log.rows_of(UUID(hand_off.stream))
    assert 1 == sum(row.type == "referrals.ReferralAcknowledged" for row in rows)


async def test_the_taker_is_sealed_and_the_page_does_not_repeat_the_name(referrals, hand_off):
    page = await referrals.http.post(hand_off.link, data=FORM)
    assert FORM["name"] not in page.text
    rows = await referrals.parts.log.rows_of(UUID(hand_off.stream))
    assert not any(word.encode() in row.state for row in rows for word in (FORM["name"], FORM["phone"]))
    (taken,) = [e.fact for e in await referrals.parts.log.open(rows) if type(e.fact).__name__ == "ReferralAcknowledged"]
    assert (FORM["name"], FORM["phone"], "link") == (taken.name, taken.phone, taken.via)


@pytest.mark.parametrize("missing", ["name", "office"])
@pytest.mark.parametrize("left", ["", "   ", "\0"])
async def test_without_a_name_or_an_office_the_page_asks_again_and_nothing_is_taken_over(referrals, hand_off, missing, left):
    page = await referrals.http.post(hand_off.link, data=FORM | {missing: left})
    assert (422, True) == (page.status_code, "Xin ghi họ tên và đơn vị" in page.text)
    assert FORM["office" if missing == "name" else "name"] in page.text
    assert (await state(referrals, hand_off))["acknowledged_at"] is None


async def test_what_is_typed_comes_back_as_text_and_never_as_markup(referrals, hand_off):
    evil = '"><script>alert(1)</script>'
    page = await referrals.http.post(hand_off.link, data={"name": "", "office": evil})
    assert "<script" not in page.text
    assert [evil] == [field["value"] for field in Tags(page.text).named("input") if field["name"] == "office"]


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"x" * 10_001, "application/x-www-form-urlencoded", 413),
        (b'{"name": "x"}', "application/json", 415),
        (b"name=x", "", 415),
        (b"\xff\xfe=%ff&name=%ff%fe&office=%00", "application/x-www-form-urlencoded", 422),
        (b"", "application/x-www-form-urlencoded", 422),
        (b"&".join(b"a=%d" % n for n in range(1500)), "application/x-www-form-urlencoded", 422),
    ],
)
async def test_a_form_that_is_none_is_refused_and_takes_nothing_over(referrals, hand_off, body, media, status):
    answer = await referrals.http.post(hand_off.link, content=body, headers={"content-type": media})
    assert status == answer.status_code
    assert (await state(referrals, hand_off))["acknowledged_at"] is None


async def test_a_very_long_name_is_cut_and_taken_over(referrals, hand_off):
    assert 200 == (await referrals.http.post(hand_off.link, data=FORM | {"name": "Thử " * 400})).status_code


# Who has no link


async def test_a_wrong_a_foreign_and_a_revoked_link_look_alike(referrals, hand_off):
    revoked = {"cases": hand_off.cases, "reason": "wrong_entry"}
    foreign = PATH + token_of(hand_off.key, UUID(hand_off.stream), uuid4())
    forged = PATH + token_of(bytes(32), UUID(hand_off.stream), hand_off.agency)
    unknown = PATH + token_of(hand_off.key, uuid4(), hand_off.agency)
    answers = [await ask(link) for link in (foreign, forged, unknown) for ask in (referrals.http.get, referrals.http.post)]
    version = (await state(referrals, hand_off))["version"]
    done = await referrals.post(
        f"/referrals/v1/referrals/{hand_off.stream}/revocation", revoked, "GS-01", ("supervisor",), if_match=f'"{version}"'
    )
    assert done.is_success, done.text
    answers += [await referrals.http.get(hand_off.link), await referrals.http.post(hand_off.link, data=FORM)]
    assert {(404, answers[0].content)} == {(answer.status_code, answer.content) for answer in answers}
    assert "urn:hotline111:not-found" == answers[0].json()["type"]


@pytest.mark.parametrize("token", ["x", "%00", "0" * 52, "Z" * 4000, "..%2Fagencies", "%E1%BB%87", "'; DROP TABLE event"])
async def test_what_is_no_token_is_not_found(referrals, token):
    assert 404 == (await referrals.http.get(PATH + token)).status_code


async def test_the_link_stands_in_no_event_and_opens_only_its_own_hand_off(referrals, hand_off):
    await referrals.http.get(hand_off.link)
    await referrals.http.post(hand_off.link, data=FORM)
    token = hand_off.link.removeprefix(PATH)
    rows = await referrals.parts.log.rows_of(UUID(hand_off.stream))
    assert not any(part in row.state for row in rows for part in (token.encode(), token[26:].encode(), token.lower().encode()))


async def test_reading_it_aloud_in_small_letters_still_opens_it(referrals, hand_off):
    token = hand_off.link.removeprefix(PATH)
    assert 200 == (await referrals.http.get(PATH + token.lower().replace("1", "l").replace("0", "o"))).status_code


async def test_who_asks_too_often_is_told_when_to_come_again_and_others_are_not_disturbed(referrals, hand_off):
    guess = PATH + token_of(bytes(32), uuid4(), hand_off.agency)
    answers = [await referrals.http.get(guess) for _ in range(PER_MINUTE.amount + 1)]
    assert [404] * PER_MINUTE.amount + [429] == [answer.status_code for answer in answers]
    assert "urn:hotline111:too-many-requests" == answers[-1].json()["type"]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert 200 == (await referrals.http.get(hand_off.link)).status_code
