"""A real OpenID Connect provider for demo and tests, as a child process: see `oidc_provider.py` for what it answers."""

import sys
from pathlib import Path

import httpx2

from deploy.local.process import Process, is_listening, kept_ports

AUDIENCE = "hotline111-api"
CLIENT = "hotline111-console"
REDIRECT = "http://127.0.0.1/callback"
USERS = Path(__file__).with_name("users.yaml")


class Oidc:
    """The provider as a child process. `home` keeps its signing key and port, so that tokens survive a restart."""

    def __init__(self, home: Path) -> None:
        self.port = kept_ports(home / "ports.json", "oidc")["oidc"]
        self.issuer = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "deploy.local.oidc_provider", str(self.port), home / "signing-key.json"]
        self.process = Process("oidc", command, home / "oidc.log")

    def start(self) -> None:
        """Start and wait until it serves its metadata."""
        self.process.start()
        self.process.wait_until(lambda: is_listening(self.port) and self._serves())

    def stop(self) -> None:
        """End it."""
        self.process.stop()

    def _serves(self) -> bool:
        return httpx2.get(f"{self.issuer}/.well-known/openid-configuration", timeout=10).is_success
