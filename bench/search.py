"""Searching by name: how long the names take to be opened, what they take in memory, and how long a search takes, recorded and all;
beside trigrams in PostgreSQL, which would hold every name in plain text."""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx2
import psutil
import psycopg
from joserfc.jwk import KeySet
from limits import parse as limit_of

from bench.contest import Report, Scale, quantiles, say
from bench.ground import Ground
from bench.machine import MB
from chassis.keys import KeyStore
from chassis.log import Row
from chassis.loop import on_its_loop
from chassis.mapper import FactMapper, Recorded
from chassis.problems import Problem
from chassis.service import parts_of
from chassis.settings import Settings
from contracts.ids import case_of
from contracts.intake import ContactReceived, ReportReceived
from contracts.kernel import NS, Fact
from contracts.shapes import Informant
from services.projections.bootstrap import build
from services.projections.search import routes
from services.projections.search.folding import fold, words
from services.projections.search.made import ROUTE
from services.projections.swaps import view_of
from services.projections.test_samples import CAU, HANOI, T0, XA, Ids, child, opened
from tests.desk import KEY, token

FAMILY = ["Nguyễn"] * 38 + ["Trần"] * 11 + ["Lê"] * 10 + ["Phạm"] * 7 + ["Hoàng"] * 5 + ["Phan"] * 5 + ["Vũ"] * 4 + ["Đặng"] * 2
FAMILY += [
    "Bùi",
    "Đỗ",
    "Hồ",
    "Ngô",
    "Dương",
    "Lý",
    "Đào",
    "Đoàn",
    "Vương",
    "Trịnh",
    "Trương",
    "Đinh",
    "Lâm",
    "Mai",
    "Cao",
    "Hà",
    "Tạ",
    "Thái",
    "Châu",
    "Sùng",
    "Giàng",
    "Lò",
    "Quàng",
    "H'Ban",
]
MIDDLE = [
    "Văn",
    "Thị",
    "Thị",
    "Văn",
    "Đức",
    "Minh",
    "Ngọc",
    "Thanh",
    "Hữu",
    "Quang",
    "Xuân",
    "Thu",
    "Hoài",
    "Bảo",
    "Gia",
    "Khánh",
    "Phương",
    "Tuấn",
    "Anh",
    "Thùy",
    "Kim",
    "Như",
    "Mỹ",
    "Đình",
]
GIVEN = [
    "An",
    "Anh",
    "Ánh",
    "Bình",
    "Châu",
    "Chi",
    "Cường",
    "Dũng",
    "Dung",
    "Duy",
    "Đạt",
    "Giang",
    "Hà",
    "Hải",
    "Hạnh",
    "Hằng",
    "Hiền",
    "Hiếu",
    "Hòa",
    "Hoa",
    "Hùng",
    "Hương",
    "Huy",
    "Huyền",
    "Khánh",
    "Khoa",
    "Lan",
    "Linh",
    "Loan",
    "Long",
    "Mai",
    "Minh",
    "My",
    "Nam",
    "Nga",
    "Ngân",
    "Ngọc",
    "Nguyên",
    "Nhi",
    "Nhung",
    "Oanh",
    "Phong",
    "Phúc",
    "Phương",
    "Quân",
    "Quỳnh",
    "Sơn",
    "Tâm",
    "Thảo",
    "Thắng",
    "Thu",
    "Thúy",
    "Thư",
    "Tiến",
    "Trang",
    "Trinh",
    "Trung",
    "Tú",
    "Tuấn",
    "Tuyết",
    "Uyên",
    "Vân",
    "Việt",
    "Vy",
    "Yến",
]
AT_ONCE = 2000
SEED = 111
TRIGRAMS = """
    CREATE EXTENSION IF NOT EXISTS unaccent; CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE TABLE named (id uuid PRIMARY KEY, name text NOT NULL, folded text NOT NULL);
"""
FUZZY = "SELECT id FROM named WHERE %s <%% folded ORDER BY word_similarity(%s, folded) DESC LIMIT 50"


def run(ground: Ground, scale: Scale) -> Iterator[Report]:
    """Fill the views of a projections service with invented children, then start an API over them in a process of its own."""
    children, times = scale.of(100_000, 2_000), scale.of(100, 5)
    report = Report(
        "search",
        "Searching by name",
        f"{children:,} invented children, each with a contact, a report, an informant and a case, folded into the views by the"
        " worker's own code. `opened`: from the start of an API until all names and numbers are in its memory, other requests going"
        " on. A search is a request to the API in process, from the body to the answer, its `SearchMade` durable in the log."
        " `pg_trgm`: the folded names in a table with a GIN index, the best 50 by word similarity, nothing judged, scoped or"
        " recorded, every name in plain text in data files, WAL and backups.",
    )
    yield report
    ground.renewed("projections")
    names = on_its_loop(_filled(ground, children))
    with psycopg.connect(ground.postgres.uri("projections"), autocommit=True) as db:
        db.execute("VACUUM ANALYZE")  # as the server does by itself, in time
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as own:
        found = own.submit(_measured, ground.settings("projections", "projections"), names, times).result()
    report.row(
        what="opened", seconds=found["seconds"], memory_mb=found["memory_mb"], p50_ms=found["lag"][0], p99_ms=found["lag"][1]
    )
    for what, (p50, p99) in found["searches"].items():
        report.row(what=what, p50_ms=p50, p99_ms=p99)
    p50, p99 = quantiles(_with_trigrams(ground, names, times))
    report.row(what="pg_trgm, a name without marks", p50_ms=p50, p99_ms=p99)
    report.note("In the row `opened` the quantiles are those of what another request had to wait for its turn meanwhile.")
    report.note(f"The longest such wait: {found['longest_ms']:.0f} ms.")


# -- what there is to be found -----------------------------------------------------------------------------------------------------


def _names(children: int) -> list[str]:
    said = random.Random(SEED)  # noqa: S311 - invented names
    return [f"{said.choice(FAMILY)} {said.choice(MIDDLE)} {said.choice(GIVEN)}" for _ in range(children)]


async def _filled(ground: Ground, children: int) -> dict[UUID, str]:
    """Told and folded; name of each child."""
    names = {uuid5(NS, f"bench child {number}"): name for number, name in enumerate(_names(children))}
    async with ground.parts("projections", "projections", "worker") as parts:
        view = view_of(parts.pool, parts.settings.kafka, parts.log)
        for log in ("intake", "cases", "referrals", "notifications", "projections"):
            await view.begin(log)
        positions = {"intake": 0, "cases": 0}
        persons = list(names)
        for begin in range(0, children, AT_ONCE):
            some = persons[begin : begin + AT_ONCE]
            rows = await _rows(parts.keys, {child_id: names[child_id] for child_id in some}, positions)
            for log in positions:
                await view.take_all(log, [row for row in rows if row.type.startswith(log)])
            say(f"{begin + len(some):,} of {children:,} children are told")
    return names


async def _rows(keys: KeyStore, names: dict[UUID, str], positions: dict[str, int]) -> list[Row]:
    told: list[tuple[UUID, Fact]] = []
    for child_id, name in names.items():
        told += _story(child_id, name)
    persons = {person for _, fact in told for person in _persons(fact)}
    known = await keys.create(persons)
    mapper, rows = FactMapper(known.get), list[Row]()
    for stream, fact in told:
        positions[fact.log] += 1
        stored = mapper.to_stored_event(Recorded(stream, 1, fact, {"actor": "TVV-01", "as": "counsellor", "cause": "rest:1"}))
        rows.append(Row(stream, 1, stored.topic, stored.state, positions[fact.log], T0))
    return rows


def _story(child_id: UUID, name: str) -> Iterator[tuple[UUID, Fact]]:
    ids = Ids(child_id.int)
    contact, record = uuid4(), ids.record
    number = f"03200{child_id.int % 100_000:05}"
    said: dict[str, Any] = {"channel": "phone", "line": "child", "form": "call", "received_at": T0, "centre": HANOI}
    yield contact, ContactReceived(**said, caller_id=ids.caller, handle=number)
    said = {"contacts": [contact], "source": "neighbour", "centre": HANOI, "owner": "TVV-01", "received_at": T0, "alleged": []}
    said |= {"incident_commune": XA if child_id.int % 100 else CAU, "emergency": True, "procedures": ["child_protection"]}
    who = Informant(person_id=ids.informant, agrees_to_be_named=False, phone=number)
    yield record, ReportReceived(**said, children=[child(child_id, name)], informant=who)
    case: Any = opened(ids, child_id)[0]
    yield case_of(record, child_id), case.model_copy(update={"lead": said["incident_commune"]})


def _persons(fact: Fact) -> list[UUID]:
    match fact:
        case ContactReceived():
            return [fact.caller_id]
        case ReportReceived():
            return [*(each.child_id for each in fact.children), *([fact.informant.person_id] if fact.informant else [])]
        case _:
            return []


# -- an API over it ----------------------------------------------------------------------------------------------------------------


def _measured(settings: Settings, names: dict[UUID, str], times: int) -> dict[str, Any]:
    return on_its_loop(_searched(settings, names, times))


async def _searched(settings: Settings, names: dict[UUID, str], times: int) -> dict[str, Any]:
    routes.PER_MINUTE = limit_of("1000000/minute")
    async with parts_of("projections", settings) as parts:
        parts.identity._keys = KeySet([KEY])
        service = build(parts)
        found: dict[str, Any] = await _opened(service.beside["search"].__self__)
        transport = httpx2.ASGITransport(service.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://bench.example") as http:
            found["searches"] = {
                what: quantiles([await _ask(http, *question()) for _ in range(times)])
                for what, question in _questions(names).items()
            }
    return found


async def _opened(index: Any) -> dict[str, Any]:
    before, begin, waits = psutil.Process().memory_info().rss, time.perf_counter(), list[float]()
    looking = asyncio.create_task(_look(waits))
    while True:
        try:
            await index.caught_up()
            break
        except Problem:
            continue
    seconds = time.perf_counter() - begin
    looking.cancel()
    held = (psutil.Process().memory_info().rss - before) / MB
    return {"seconds": seconds, "memory_mb": held, "lag": quantiles(waits), "longest_ms": max(waits) * 1000}


async def _look(waits: list[float]) -> None:
    """What somebody waits who wants to be served every 5 ms."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(0.005)
        waits.append(time.perf_counter() - asked - 0.005)


def _questions(names: dict[UUID, str]) -> dict[str, Callable[[], tuple[str, str]]]:
    said, all_ = random.Random(SEED), list(names.values())  # noqa: S311

    def other_way() -> str:
        family, *rest = words(said.choice(all_)).folded
        return " ".join([*rest, family])

    def slip() -> str:
        family, *rest = words(said.choice(all_)).folded
        return " ".join([family[:-2] + family[-1] + family[-2], *rest])

    return {
        "a name as it is written, the whole line": lambda: (said.choice(all_), "counsellor"),
        "a name without marks in the other order": lambda: (other_way(), "counsellor"),
        "a name with a slip": lambda: (slip(), "counsellor"),
        "the same by a commune": lambda: (slip(), f"commune_officer:{CAU}"),
        "a given name alone": lambda: (fold(said.choice(GIVEN).lower()), "counsellor"),
        "the family name of two in five": lambda: ("nguyen", "counsellor"),
        "an id": lambda: (str(said.choice(list(names))), "counsellor"),
    }


async def _ask(http: httpx2.AsyncClient, query: str, group: str) -> float:
    given = {"authorization": f"Bearer {_tokens(group)}", "hotline-purpose": "duty"}
    asked = time.perf_counter()
    answer = await http.post(ROUTE, json={"query": query}, headers=given)
    answer.raise_for_status()
    return time.perf_counter() - asked


_known: dict[str, str] = {}


def _tokens(group: str) -> str:
    return _known.setdefault(group, token("TVV-01", group))


# -- the rival ---------------------------------------------------------------------------------------------------------------------


def _with_trigrams(ground: Ground, names: dict[UUID, str], times: int) -> list[float]:
    said, all_, waits = random.Random(SEED), list(names.values()), list[float]()  # noqa: S311
    with psycopg.connect(ground.postgres.uri("postgres"), autocommit=True) as db:
        db.execute("DROP DATABASE IF EXISTS bench_trigrams")
        db.execute("CREATE DATABASE bench_trigrams")
    with psycopg.connect(ground.postgres.uri("bench_trigrams"), autocommit=True) as db:
        db.execute(TRIGRAMS)
        with db.cursor().copy("COPY named FROM STDIN") as copy:
            for child_id, name in names.items():
                copy.write_row((child_id, name, " ".join(words(name).folded)))
        db.execute("CREATE INDEX ON named USING gin (folded gin_trgm_ops)")
        db.execute("VACUUM ANALYZE named")
        for _ in range(times):
            query = " ".join(words(said.choice(all_)).folded)
            asked = time.perf_counter()
            db.execute(FUZZY, (query, query)).fetchall()
            waits.append(time.perf_counter() - asked)
    return waits
