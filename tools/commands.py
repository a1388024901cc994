"""The command line `hotline`. Each group of commands has its own file beside this one."""

import typer

from tools import (
    audit_commands,
    contracts_commands,
    ledger_commands,
    play_commands,
    recovery_commands,
    stack_commands,
    views_commands,
)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The hotline 111 from the command line.")
app.add_typer(stack_commands.app)
app.add_typer(play_commands.app)
app.add_typer(contracts_commands.app)
app.add_typer(recovery_commands.app)
app.add_typer(ledger_commands.app)
app.add_typer(audit_commands.app)
app.add_typer(views_commands.app, name="views")
