"""What the service processes of the local stack are told: keys made once, and the variables `H111_*`."""

import os
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path

from chassis.ledger.note import SigningKey
from chassis.settings import key_from
from deploy.local.kafka import Kafka
from deploy.local.oidc import AUDIENCE, Oidc
from deploy.local.postgres import Postgres, key_role
from deploy.local.smtp import OWN_DOMAIN, Smtp

HERE = Path(__file__).parent
AUTHORITY = "hotline111.example"
ZALO_APP_ID = "3600000000000000111"  # invented, as the secret beside this file is


class Environment:
    """The variables of every process, made from the parts of one running stack."""

    def __init__(self, home: Path, environment: str, rules: str, public_url: str) -> None:
        self._home = home
        self._environment = environment
        self._rules = rules
        self._public_url = public_url
        self.policy_file = home / "ledger-policy"
        """By which the checkpoints of this stack are judged, as auditors get it."""
        self.master_key_file = home / "secrets" / "master-key"
        """It wraps the keys of all persons: whoever can read it, and ask the key store, can open what is sealed."""

    def of(self, service: str, role: str, port: int, *, postgres: Postgres, kafka: Kafka, smtp: Smtp, oidc: Oidc) -> dict[str, str]:
        """All variables of one process. What other programs set as H111_* does not reach it."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("H111_")}
        traces = self._home / "traces"
        traces.mkdir(exist_ok=True)
        clean |= self._evidence(service, role)
        return clean | {
            "PYTHONUNBUFFERED": "1",
            "H111_ENVIRONMENT": self._environment,
            "H111_AUTHORITY": AUTHORITY,
            "H111_HOST": "127.0.0.1",
            "H111_PORT": str(port),
            "H111_DATABASE": postgres.uri(service, f"{service}_{role}"),
            "H111_KEYS": postgres.uri("keys", key_role(service, role)),
            "H111_MASTER_KEY_FILE": self._key("master"),
            "H111_FINGERPRINT_KEY_FILE": self._key("fingerprint"),
            "H111_LINK_KEY_FILE": self._key("link"),
            "H111_KAFKA": kafka.bootstrap,
            "H111_RULES": self._rules,
            "H111_CLOCK_FILE": str(self._home / "clock"),
            "H111_OIDC_ISSUER": oidc.issuer,
            "H111_OIDC_AUDIENCE": AUDIENCE,
            "H111_ROLES_FILE": str(HERE / "groups.yaml"),
            "H111_SMTP_HOST": "127.0.0.1",
            "H111_SMTP_PORT": str(smtp.port),
            "H111_SMTP_IS_FINAL_HOP": "true",  # this stack's server keeps every mailbox itself
            "H111_MAIL_FROM": f"tongdai@{OWN_DOMAIN}",
            "H111_PUBLIC_URL": self._public_url,
            "H111_ZALO_APP_ID": ZALO_APP_ID,
            "H111_ZALO_SECRET_FILE": str(HERE / "zalo-oa-secret"),
            "H111_MAIL_SECRET_FILE": str(smtp.secret_file),
            "H111_TRACES": str(traces / f"{service}-{role}.jsonl"),
            "H111_FAILPOINTS": str(self._home / "failpoints" / f"{service}-{role}"),
            "H111_LOG_LEVEL": "INFO",
        }

    def _evidence(self, service: str, role: str) -> dict[str, str]:
        """A worker signs its log and says by which policy that is judged; projections judges all. An API does not get the key."""
        judging = {"H111_LEDGER_POLICY_FILE": str(self.policy_file)} if role == "worker" or service == "projections" else {}
        if role != "worker":
            return judging
        return judging | {
            "H111_SIGNING_KEY_FILE": self._signing_key(service),
            "H111_CHECKPOINT_FOLDER": str(self._home / "checkpoints"),
        }

    def write_policy(self, services: Iterable[str]) -> None:
        """Every log with its verifier key."""
        origins = {service: f"{AUTHORITY}/{self._environment}/{service}" for service in services}
        keys = [SigningKey.of_seed(origin, key_from(Path(self._signing_key(service)))) for service, origin in origins.items()]
        lines = [f"# {AUTHORITY} {self._environment}", "# epoch 1", *(f"log {key.verifier}" for key in keys), "quorum none"]
        self.policy_file.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")

    def _signing_key(self, service: str) -> str:
        """The environment is part of the key's name, so each has keys of its own."""
        return self._key(f"signing-{service}-{self._environment}")

    def _key(self, name: str) -> str:
        """A file of 32 random bytes in hex that only its owner reads, made the first time."""
        file = self._home / "secrets" / f"{name}-key"
        if not file.exists():
            file.parent.mkdir(mode=0o700, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(secrets.token_hex(32))
        return str(file)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules."""
    return [sys.executable, "-m", module, *arguments]
