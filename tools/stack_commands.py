"""`hotline up`, `down` and `token`: the local stack and its people."""

import signal
import sys
import threading
from types import FrameType
from typing import Annotated

import httpx2
import typer
import yaml

from deploy.local.oidc import USERS
from deploy.local.process import NotStartedError
from deploy.local.stack import Stack, down, read_state
from tools.oidc_login import LoginFailedError, log_in

app = typer.Typer()


@app.command("up")
def up_command(
    rules: Annotated[str, typer.Option(help="`demo`: limits of seconds; `law`: the real ones")] = "demo",
    fresh: Annotated[bool, typer.Option("--fresh", help="begin with empty databases and topics")] = False,
) -> None:
    """Start the local stack, print its addresses and stay until Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Stack(rules=rules, fresh=fresh) as stack:
            print(f"\n  everything at {stack.urls['front']}/<service>/v1/…   logs in {stack.home / 'logs'}")
            print("  a token: hotline token TVV-01   end: Ctrl-C or make down\n", flush=True)
            try:
                threading.Event().wait()
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end takes a moment and is not to be cut short
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                print("ending", flush=True)
    except KeyboardInterrupt:
        return
    except NotStartedError as problem:
        sys.exit(str(problem))


@app.command("down")
def down_command() -> None:
    """End the local stack and whatever a killed one left running."""
    print("the local stack is down" if down() else "no local stack was running")


@app.command("token")
def token_command(user: str) -> None:
    """Log a person of deploy/local/users.yaml in and print the access token."""
    state = read_state()
    if state is None:
        sys.exit("no local stack is running: make up")
    people = yaml.safe_load(USERS.read_text(encoding="utf-8"))
    if user not in people["users"]:
        sys.exit(f"there is no user {user}: deploy/local/users.yaml lists them")
    try:
        print(log_in(state["oidc_issuer"], user, people["password"]).access)
    except LoginFailedError as problem:
        sys.exit(str(problem))
    except httpx2.HTTPError:
        sys.exit("the identity provider does not answer: hotline doctor says what is down")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
