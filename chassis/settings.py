"""What a service process is told from outside: environment variables `H111_*`. One that is missing, wrong or misspelt refuses to
start and is named; no value is ever quoted, for it may hold a password."""

import os
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, PositiveInt, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.identity import groups_from

PREFIX = "H111_"


class Settings(BaseSettings):
    """Addresses, key files and rule set of one process. Secrets are read from files, never from variables."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    environment: Literal["demo", "test", "prod"]
    authority: str = "hotline111.example"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)]
    database: SecretStr
    keys: SecretStr
    master_key_file: Path
    fingerprint_key_file: Path
    link_key_file: Path
    kafka: str
    rules: Literal["law", "demo"] = "law"
    clock_file: Path | None = None
    signing_key_file: Path | None = None
    next_signing_key_file: Path | None = None
    """While one key takes over from another both sign."""
    checkpoint_folder: Path | None = None
    """Where the worker keeps its newest checkpoint: not on the volume of the database, which may be restored to an older state."""
    ledger_policy_file: Path | None = None
    """By which the checkpoints of all logs are judged: their verifier keys, in the format tlog-policy; a file or a folder of files,
    one an epoch. Projections judges by it, and each worker's log says which it adopted."""
    heartbeat_seconds: PositiveInt = 600
    """A log that was idle for so long says so, so that silence and being cut off can be told apart."""
    oidc_issuer: str
    oidc_audience: str = "hotline111-api"
    roles_file: Path
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    smtp_is_final_hop: bool = False
    """True where our SMTP server hands straight to the addressee's own: its 250 is then a delivery, else only a sending."""
    mail_from: str = "tongdai@hotline.example"
    call_back: str = "111"
    public_url: str
    zalo_app_id: str = ""
    zalo_secret_file: Path | None = None
    mail_secret_file: Path | None = None
    traces: Path | None = None
    failpoints: Path | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"

    @field_validator("database", "keys")
    @classmethod
    def _connects(cls, given: SecretStr) -> SecretStr:
        if not _is_connection_string(given.get_secret_value()):
            raise ValueError("is no connection string of PostgreSQL (in a password, @ is written %40 and / is written %2F)")
        return given

    def origin(self, log: str) -> str:
        """Name of a log, and of the key that signs it: `<authority>/<environment>/<log>`."""
        return f"{self.authority}/{self.environment}/{log}"


def settings_from_environment() -> Settings:
    """Raises SystemExit that names what is missing, wrong or misspelt."""
    known = {_variable(name) for name in Settings.model_fields}
    if strangers := sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known):
        raise SystemExit(f"unknown settings: {', '.join(strangers)}; known are {', '.join(sorted(known))}")
    try:
        settings = Settings()  # the values come from the environment
    except ValidationError as problem:
        raise SystemExit("\n".join(f"settings: {_sentence(error)}" for error in problem.errors())) from None
    if settings.environment == "prod" and settings.clock_file is not None:
        raise SystemExit("H111_CLOCK_FILE moves the clock of a demo; production has one clock only: unset it")
    if settings.environment == "prod" and settings.failpoints is not None:
        raise SystemExit("H111_FAILPOINTS says where a test stack dies; production does not: unset it")
    return settings


def fit_for(role: str, settings: Settings) -> None:
    """Raises SystemExit if a process of this role lacks what it needs, or has what it must not have."""
    keys = (settings.signing_key_file, settings.next_signing_key_file)
    if role == "api" and any(keys):
        raise SystemExit("only the worker signs: unset H111_SIGNING_KEY_FILE and H111_NEXT_SIGNING_KEY_FILE for the API")
    if role != "api" and not (keys[0] and settings.checkpoint_folder):
        raise SystemExit("the worker signs the log: set H111_SIGNING_KEY_FILE and H111_CHECKPOINT_FOLDER")


def files_fit(settings: Settings) -> None:
    """Raises SystemExit if a file that a setting names cannot be read, or holds something else than is expected."""
    for name, (read, expected) in FILES.items():
        file: Path | None = getattr(settings, name)
        if file is None:
            continue
        try:
            read(file)
        except OSError:
            raise SystemExit(f"settings: {_variable(name)} names a file that cannot be read: {expected} expected") from None
        except ValueError:
            raise SystemExit(f"settings: {_variable(name)} names a file that holds something else: {expected} expected") from None


def key_from(file: Path) -> bytes:
    """32 bytes, kept as hex in a file that only the service may read. Raises SystemExit for anything else."""
    try:
        return _key(file)
    except (OSError, ValueError):
        raise SystemExit(f"{file.name}: a key of 32 bytes in hex is needed") from None


def secret_from(file: Path) -> str:
    """A text shared with somebody. Raises OSError or ValueError; an empty one would let everybody in."""
    if not (secret := file.read_text(encoding="utf-8").strip()):
        raise ValueError("no secret")
    return secret


def mail_key_from(file: Path) -> bytes:
    """The key that signs what the mail host hands over, in base64 as Standard Webhooks write it. Raises OSError or ValueError."""
    return b64decode(secret_from(file).removeprefix("whsec_"), validate=True)


def _key(file: Path) -> bytes:
    key = bytes.fromhex(file.read_text(encoding="ascii").strip())
    if len(key) != 32:
        raise ValueError("not 32 bytes")
    return key


def _is_connection_string(given: str) -> bool:
    """A password with a bare @ or / has its rest where host and port stand, and errors of connecting would quote it there."""
    try:
        parts = conninfo_to_dict(given)
    except ProgrammingError:
        return False
    host, port = str(parts.get("host", "")), str(parts.get("port", ""))
    return bool(parts) and "@" not in host and set(port) <= set("0123456789,")


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _sentence(error: ErrorDetails) -> str:
    """What is wrong with one variable. Pydantic's own words say what is expected; the value it got is left out."""
    variable = _variable(str(error["loc"][0]))
    match error["type"]:
        case "missing":
            return f"{variable} is missing"
        case "value_error":  # one of our own sentences
            return f"{variable} {error['msg'].removeprefix('Value error, ')}"
        case _:
            return f"{variable} is wrong: {error['msg'][0].lower()}{error['msg'][1:]}"


KEY = (_key, "32 bytes in hex are")
FILES: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "master_key_file": KEY,
    "fingerprint_key_file": KEY,
    "link_key_file": KEY,
    "signing_key_file": KEY,
    "next_signing_key_file": KEY,
    "roles_file": (groups_from, "groups and their roles, as in deploy/local/groups.yaml, are"),
    "zalo_secret_file": (secret_from, "the secret of the Zalo Official Account is"),
    "mail_secret_file": (mail_key_from, "a key in base64 is"),
}
"""Setting → how its file is read, and what it has to hold."""
