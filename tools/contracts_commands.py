"""`hotline contracts`: write what others need of us, generated from the code, or check that it is as generated."""

import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("contracts")
def contracts_command(
    check: Annotated[bool, typer.Option("--check", help="write nothing; fail if a file is not as generated")] = False,
) -> None:
    """Write schemas, OpenAPI, AsyncAPI, the register of personal fields, the reference page, and golden files that are missing."""
    from tools.generate.everything import ROOT, generated  # noqa: PLC0415  # the services take a second to import; `hotline down` should not

    differing = {file: text for file, text in generated().items() if not file.exists() or file.read_text(encoding="utf-8") != text}
    for file, text in sorted(differing.items()):
        print(f"{'differs' if check else 'written'}: {file.relative_to(ROOT)}")
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
    if check and differing:
        sys.exit("not as generated: run `make contracts`, look at the difference, commit it")
