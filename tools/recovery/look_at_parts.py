"""Does each process answer, is it ready, and do the parts that are not ours listen?"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx2

from deploy.local.process import is_listening
from deploy.local.stack import SERVICES
from tools.recovery.findings import Finding, Page
from tools.recovery.running import PATIENCE, Running

NEEDS = {"database", "relay", "hearing", "sender"}
"""What a process names as down because a part of ours is; another loop is itself the matter."""


def look_at_parts(stack: Running) -> Iterator[Finding]:
    """Findings about processes; a part that is down is one."""
    names = [name for service in SERVICES for name in (service, f"{service}.worker")]
    with ThreadPoolExecutor(len(names)) as at_once:  # in an outage each of them answers late
        for found in at_once.map(partial(_process, stack), names):
            yield from found
    if not _answers(f"{stack.urls['front']}/intake/healthz"):
        yield Finding("front", "the front door does not lead to intake", "start it; its log is front.log", "part-down")
    if not is_listening(int(stack.state["smtp_port"])):
        yield Finding("smtp", "nothing listens", "start it; messages are tried again by themselves", "part-down")
    if not _answers(f"{stack.state['oidc_issuer']}/.well-known/openid-configuration"):
        yield Finding("oidc", "the identity provider does not answer", "start it; nobody new can log in", "part-down")


def _process(stack: Running, name: str) -> list[Finding]:
    log = f"{name.replace('.', '-') if '.' in name else f'{name}-api'}.log"
    try:
        answer = httpx2.get(f"{stack.urls[name]}/readyz", timeout=PATIENCE)
        down: list[str] = answer.json()["down"]
    except (httpx2.HTTPError, ValueError, KeyError):
        do = f"it is started again within seconds; if it keeps ending, {log} says of what"
        return [Finding(name, "the process does not answer", do, "worker-keeps-ending")]
    do = f"mend the part it waits for, if one is named here; else read {log}"
    page: Page = "part-down" if NEEDS & {*down} else "worker-keeps-ending"
    return [Finding(name, f"it waits for {', '.join(down)}", do, page)] if down else []


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=PATIENCE).is_success
    except httpx2.HTTPError:
        return False
