"""The sentences of the gate: what broke, in which fact or list, since which release, and what to do instead."""

from collections.abc import Iterator, Mapping
from typing import Any

from tools.compatibility.releases import RELEASED, Contracts, Rows, read, today, versions
from tools.compatibility.schemas import changes

KEEP = "what was told cannot be told differently: keep it, or raise class_version and write an upcaster"
KEEP_FILE = "what was told is read for ever: keep its schema, its golden file and what reads it"
NEVER_REUSED = "a code is never renamed or reused: keep it, give it a `to` and add another"
NEVER_EDITED = "a new version never edits an old one: keep it and add one behind it"
NOT_A_MEANING = {"code", "source"}


def against_every_release() -> list[str]:
    """One sentence a break, of today's contracts against every version ever released. Empty is good."""
    now = today()
    return [sentence for version in versions() for sentence in findings(read(RELEASED / version), now, version)]


def findings(old: Contracts, new: Contracts, since: str) -> list[str]:
    """One sentence a break of `new` against `old`, which was released as `since`."""
    return [
        *_facts(old, new, since),
        *_records(old, new, since),
        *_codes(old, new, since),
        *_rules(old.rules, new.rules, since),
        *_calendar(old.calendar, new.calendar, since),
    ]


def _facts(old: Contracts, new: Contracts, since: str) -> Iterator[str]:
    for file, schema in old.schemas.items():
        name = _named(file)
        if file not in new.schemas:
            yield f"{name} was removed since {since}; {KEEP_FILE}"
            continue
        for field, what in changes(schema, new.schemas[file]):
            yield f"{name}: {f'field `{field}`' if field else 'the fact'} {what} since {since}; {KEEP}"
    for file, told in old.golden.items():
        if new.golden.get(file) != told:
            yield f"{_named(file)}: its golden file was changed or removed since {since}; it is what was told: take it back"


def _named(file: str) -> str:
    return file.replace("/", ".", 1).replace(".v", " v")


def _records(old: Contracts, new: Contracts, since: str) -> Iterator[str]:
    for log, topic in old.topics.items():
        if new.topics.get(log) != topic:
            yield f"the topic of {log} was renamed since {since}; others hear it as `{topic}`: keep the name"
    for log, promised in old.promised.items():
        for gone in sorted(promised - new.promised.get(log, frozenset())):
            yield f"records of {log}: `{gone}` is no longer promised since {since}; others rely on it: keep it"


def _codes(old: Contracts, new: Contracts, since: str) -> Iterator[str]:
    for list_id, entries in old.codes.items():
        now = new.codes.get(list_id, {})
        if entries and not now:
            yield f"code list `{list_id}` was removed since {since}; {KEEP_FILE}"
            continue
        for code, entry in entries.items():
            if code not in now:
                yield f"code list `{list_id}`: `{code}` was removed since {since}; {NEVER_REUSED}"
            for key in _different(entry, now.get(code, entry)):
                yield (
                    f"code list `{list_id}`: `{code}` means something else since {since}, its `{key}` was `{entry.get(key)}`; "
                    f"{NEVER_REUSED}"
                )


def _different(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """The keys of an entry by which it means something else. A code may be given up later: that ends it and changes nothing."""
    for key in sorted((old.keys() | new.keys()) - NOT_A_MEANING):
        given_up = key == "to" and "to" not in old
        if not given_up and old.get(key) != new.get(key):
            yield key


def _rules(old: Rows, new: Rows, since: str) -> Iterator[str]:
    for id_, rule in old.items():
        now = new.get(id_)
        if now is None:
            yield f"rule `{id_}` was removed since {since}; due times quote it: keep it"
            continue
        if now["kind"] != rule["kind"]:
            yield f"rule `{id_}`: its kind was `{rule['kind']}` until {since}; due times quote it: keep it and add another rule"
        for part in ("versions", "where"):
            yield from _rule_versions(id_, _dated(rule.get(part, ())), _dated(now.get(part, ())), since)


def _dated(rows: Any) -> dict[tuple[str, Any], Any]:
    """(province or "", from) → a version of a rule."""
    return {(row.get("province", ""), row["from"]): row for row in rows}


def _rule_versions(id_: str, old: Mapping[tuple[str, Any], Any], new: Mapping[tuple[str, Any], Any], since: str) -> Iterator[str]:
    for (province, day), version in old.items():
        if new.get((province, day)) != version:
            quoted = f"{id_}@{day}" + (f"/{province}" if province else "")
            yield f"rule `{quoted}` was edited or removed since {since}; {NEVER_EDITED}"
    for province, day in new.keys() - old.keys():
        if any(day < known for where, known in old if where == province):
            yield f"rule `{id_}`: a version from {day} was put before those of {since}; {NEVER_EDITED}"


def _calendar(old: Rows, new: Rows, since: str) -> Iterator[str]:
    for id_, decision in old.items():
        if decision.get("in_force", True) and new.get(id_) != decision:
            yield f"calendar: decision `{id_}` was edited or removed since {since}; {NEVER_EDITED}"
