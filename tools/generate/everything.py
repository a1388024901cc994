"""All generated files together."""

import json
from pathlib import Path

from tools.generate import asyncapi, golden, openapi, reference, register, schemas
from tools.generate.model import CONTRACTS, ROOT


def generated() -> dict[Path, str]:
    """Every generated file with its content; golden files only where there is none yet."""
    documents = schemas.documents() | openapi.documents() | asyncapi.documents() | golden.documents()
    files = {
        CONTRACTS / name: json.dumps(found, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        for name, found in documents.items()
    }
    return {**files, CONTRACTS / "register.yaml": register.text(), ROOT / "docs" / "reference.md": reference.text()}
