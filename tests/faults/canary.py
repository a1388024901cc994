"""Canaries: a mark in every personal field, then looked for in everything a line leaves behind, in every spelling in which bytes hide."""

import base64
import json
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from deploy.local.smtp import OWN_DOMAIN
from deploy.local.stack import SERVICES

LINES_OWN_MAILBOX = f"tongdai@{OWN_DOMAIN}"
"""One folder below the stack is not ours: the mail server that plays the world keeps the mail it was given for the line."""


def spellings(word: str) -> dict[bytes, str]:
    """Bytes under which a word may lie somewhere → their name."""
    bare = "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter)).replace("Đ", "D")
    texts = {"as it is": word, "without diacritics": bare, "decomposed": unicodedata.normalize("NFD", word)}
    texts |= {"small": word.lower(), "small, without diacritics": bare.lower(), "run together": bare.replace(" ", "")}
    found = {f"{name}, UTF-8": text.encode() for name, text in texts.items()}
    found |= {f"{name}, UTF-16": texts[name].encode("utf-16-le") for name in ("as it is", "without diacritics")}
    raw = word.encode()
    found |= {"hex": raw.hex().encode(), "HEX": raw.hex().upper().encode(), "JSON": json.dumps(word)[1:-1].encode()}
    found |= {"URL": quote(word).encode(), "form": quote_plus(word).encode()}
    for shift in range(3):  # three ways in which base 64 may cut it
        coded = base64.b64encode(b"\0" * shift + raw)
        found[f"base 64 from byte {shift}"] = coded[-(-4 * shift // 3) : (shift + len(raw)) * 4 // 3]
    return {spelled: name for name, spelled in found.items()}


def hits(contents: Iterable[tuple[Any, bytes]], word: str) -> list[tuple[str, str]]:
    """(where, spelling) of every place where the word lies."""
    wanted = spellings(word).items()
    return [(str(where), name) for where, content in contents for spelled, name in wanted if spelled in content]


def files_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Files with their content. Kafka's index files hold offsets only, and are large and empty."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.suffix.endswith("index"):
            yield str(file.relative_to(folder)), file.read_bytes()


def tables(line: Any) -> Iterator[tuple[str, bytes]]:
    """Every row of every table as text: what PostgreSQL compresses in its files shows here."""
    for database in (*SERVICES, "keys"):
        ours = "schemaname NOT IN ('pg_catalog', 'information_schema')"
        for schema, table in line.rows(database, f"SELECT schemaname, tablename FROM pg_tables WHERE {ours}"):
            rows = line.rows(database, f"SELECT t::text FROM {schema}.{table} t")
            yield f"{database}.{table}", "\n".join(row for (row,) in rows).encode()


def leaks(line: Any, word: str) -> list[str]:
    """Where a word of a person lies in plain, of all that the line leaves behind."""
    files = ((path, content) for path, content in files_below(line.stack.home) if LINES_OWN_MAILBOX not in path)
    return [f"{where} holds a word: {spelled}" for found in (files, tables(line)) for where, spelled in hits(found, word)]
