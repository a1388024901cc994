"""What a service process is told from outside: environment variables `H111_*`. A misspelt one refuses to start."""

import os
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "H111_"


class Settings(BaseSettings):
    """Addresses, key files and rule set of one process. Secrets are read from files, never from variables."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    environment: Literal["demo", "test", "prod"]
    authority: str = "hotline111.example"
    host: str = "127.0.0.1"
    port: int
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
    log_level: str = "INFO"

    def origin(self, log: str) -> str:
        """Name of a log, and of the key that signs it: `<authority>/<environment>/<log>`."""
        return f"{self.authority}/{self.environment}/{log}"


def settings_from_environment() -> Settings:
    """Raises SystemExit that names what is missing, wrong or misspelt."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    if strangers := sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known):
        raise SystemExit(f"unknown settings: {', '.join(strangers)}; known are {', '.join(sorted(known))}")
    try:
        settings = Settings()  # the values come from the environment
    except ValueError as problem:
        raise SystemExit(f"settings: {problem}") from None
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


def key_from(file: Path) -> bytes:
    """32 bytes, kept as hex in a file that only the service may read."""
    key = bytes.fromhex(file.read_text(encoding="ascii").strip())
    if len(key) != 32:
        raise SystemExit(f"{file.name}: a key of 32 bytes in hex is needed")
    return key
