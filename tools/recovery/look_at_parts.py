"""Does each process answer, is it ready, and do the parts that are not ours listen?"""

from collections.abc import Iterator

import httpx2

from deploy.local.process import is_listening
from deploy.local.stack import SERVICES
from tools.recovery.findings import Finding, Page
from tools.recovery.running import PATIENCE, Running

NEEDS = {"database", "relay", "hearing", "sender"}
"""What a process names as down because a part of ours is; another loop is itself the matter."""


def look_at_parts(stack: Running) -> Iterator[Finding]:
    """Findings about processes; a part that is down is one."""
    for service in SERVICES:
        for name in (service, f"{service}.worker"):
            yield from _process(stack, name)
    if not _answers(f"{stack.urls['front']}/intake/healthz"):
        yield Finding("front", "the front door does not lead to intake", "start it; its log is front.log", "part-down")
    if not is_listening(int(stack.state["smtp_port"])):
        yield Finding("smtp", "nothing listens", "start it; messages are tried again by themselves", "part-down")
    if not _answers(f"{stack.state['oidc_issuer']}/.well-known/openid-configuration"):
        yield Finding("oidc", "the identity provider does not answer", "start it; nobody new can log in", "part-down")


def _process(stack: Running, name: str) -> Iterator[Finding]:
    log = f"{name.replace('.', '-') if '.' in name else f'{name}-api'}.log"
    try:
        answer = httpx2.get(f"{stack.urls[name]}/readyz", timeout=PATIENCE)
        down: list[str] = answer.json()["down"]
    except (httpx2.HTTPError, ValueError, KeyError):
        do = f"it is started again within seconds; if it keeps ending, {log} says of what"
        yield Finding(name, "the process does not answer", do, "worker-keeps-ending")
        return
    if down:
        do = f"mend the part it waits for, if one is named here; else read {log}"
        page: Page = "part-down" if NEEDS & {*down} else "worker-keeps-ending"
        yield Finding(name, f"it waits for {', '.join(down)}", do, page)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=PATIENCE).is_success
    except httpx2.HTTPError:
        return False
