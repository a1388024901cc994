"""`hotline contracts`: write what others need of us, generated from the code, and hold it against what was released."""

import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("contracts")
def contracts_command(
    check: Annotated[bool, typer.Option("--check", help="write nothing; fail if a file is not as generated")] = False,
    release: Annotated[str, typer.Option(metavar="VERSION", help="keep today's contracts as this version, for ever")] = "",
) -> None:
    """Write schemas, OpenAPI, AsyncAPI, the register of personal fields, the reference page, and golden files that are missing.

    Then fail, with a sentence for each, if something breaks what an earlier release promised.
    """
    from tools.compatibility import gate, releases  # noqa: PLC0415  # the services take a second to import; `hotline down` should not
    from tools.generate.everything import ROOT, generated  # noqa: PLC0415

    differing = {file: text for file, text in generated().items() if not file.exists() or file.read_text(encoding="utf-8") != text}
    only_look = check or bool(release)
    for file, text in sorted(differing.items()):
        print(f"{'differs' if only_look else 'written'}: {file.relative_to(ROOT)}")
        if not only_look:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
    wrong = gate.against_every_release()
    if wrong:
        wrong.append("how contracts change: docs/how-to-change-a-contract.md")
    if only_look and differing:
        wrong.append("not as generated: run `make contracts`, look at the difference, commit it")
    if wrong:
        sys.exit("\n".join(wrong))
    if release:
        try:
            print(f"released: {releases.release(release)} files in contracts/released/{release}")
        except ValueError as problem:
            sys.exit(str(problem))
