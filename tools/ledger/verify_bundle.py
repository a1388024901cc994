"""A bundle, or the export of one log: its logs, its states, and what holds between them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

from chassis.ledger import note
from chassis.ledger.errors import LedgerError
from chassis.ledger.policy import Opened, Policy
from tools.ledger.files import Files
from tools.ledger.findings import Finding, Held, Line, Report, Step
from tools.ledger.hands import Hands
from tools.ledger.layout import Claims, claims_of, sums_are_those_of
from tools.ledger.verify_entries import see
from tools.ledger.verify_log import CHECKPOINT, NOTES, LogCheck
from tools.ledger.verify_states import LARGEST, STATES, Shown, adopted_in, judge

AHEAD = timedelta(minutes=1)
"""By how much a stamp may be later than the reader's own clock."""
FAR = 253_402_300_799  # the last second that a date can have
Progress = Callable[[str, int, int], None]
"""What is being read, how much of it was, how much there is."""
Where = tuple[str, int]
"""A log, and a position in it."""


@dataclass
class Asked:
    """What a reader brings: his own policy, heads he holds, the case he asked for, how old the newest entry may be."""

    policy: Policy
    held: list[Held] = field(default_factory=list)
    case: str = ""
    max_age: timedelta | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    most: int = 2_000_000
    """Entries of one log, and files, that are looked at: this is what bounds memory."""


@dataclass
class _Log:
    """One log of the bundle while it is being checked. `check` is missing where its checkpoint could not be believed."""

    name: str
    origin: str
    findings: list[Finding] = field(default_factory=list)
    opened: Opened | None = None
    check: LogCheck | None = None

    def line(self) -> Line:
        finding = min([*self.findings, *(self.check.findings if self.check else ())], default=None)
        return Line(self.origin, finding, self.opened.checkpoint if self.opened else None)


class BundleCheck:
    """The steps over all logs, in order; whatever is wrong is a finding of a log, or of the whole."""

    def __init__(self, files: Files, asked: Asked, hands: Hands, progress: Progress) -> None:
        self.files, self.asked, self.hands, self.progress = files, asked, hands, progress
        self.findings: list[Finding] = []
        self.logs: dict[str, _Log] = {}
        self.named: dict[bytes, Where] = {}
        """Of each state that is shown its first entry in the first log that has one."""
        self.elsewhere: dict[bytes, list[Where]] = {}
        """Of the few that another log names as well, the first entry there."""
        self.report = Report()

    def run(self) -> Report:
        """Raises LedgerError for what is no bundle at all."""
        claims = claims_of(self.files, self.asked.policy)
        for name, files in claims.logs.items():
            self._check_log(name, files, claims)
        self._check_states_are_there(claims)
        self._check_case(claims)
        self._judge_states(claims)
        for log in self.logs.values():
            self._check_age(log)
        adopted: list[str] = []
        self.report.lines = [log.line() for log in self.logs.values()]
        if self.report.clean:  # where entries are altered, their states are strangers too, which says nothing new
            self._check_no_other_states()
            adopted = [self._adopted(log.origin, log.check) for log in self.logs.values() if log.check]
        absent = Finding(Step.NOTE, 0, "missing", "the policy lists this log, and the bundle does not show it")
        self.report.lines += [Line(origin, absent) for origin in claims.absent]
        if self.findings:
            self.report.lines.append(Line("", min(self.findings)))
        self.report.remarks += claims.remarks + list(filter(None, adopted))
        if any(head.origin not in claims.origins.values() for head, _ in self.asked.held):
            self.report.remarks.append("a held head is of a log that is not here: it was compared with nothing")
        self.report.read += sum(log.check.read for log in self.logs.values() if log.check)
        return self.report

    # -- each log --------------------------------------------------------------------------------------------------------------

    def _check_log(self, name: str, files: Files, claims: Claims) -> None:
        log = self.logs[name] = _Log(name, claims.origins[name])
        try:
            log.opened = self.asked.policy.opened(files.read(CHECKPOINT, note.LARGEST), log.origin)
            head = log.opened.checkpoint
            if head.size != claims.sizes.get(name, head.size):
                raise LedgerError("checkpoint", "the checkpoint is not of the size that the instant claims")
            if head.size > self.asked.most:
                raise LedgerError("malformed", f"more than {self.asked.most} entries; the option --most takes more")
            held = [one for one in self.asked.held if one.checkpoint.origin == log.origin]
            held += self._archived(files, log.origin)
        except LedgerError as problem:
            log.findings.append(Finding.of(Step.NOTE, problem))
            return
        log.check = LogCheck(files, head, held, claims.streams.get(name) or frozenset())
        for count in log.check.run(lambda runs: self.hands.map(see, runs)):
            self.progress(name, count, head.size)

    def _archived(self, files: Files, origin: str) -> Iterator[Held]:
        """The notes in `checkpoints/`, each named by its size. Raises LedgerError."""
        for name in files.names:
            if name.startswith(NOTES):
                head = self.asked.policy.opened(files.read(name, note.LARGEST), origin).checkpoint
                if name != f"{NOTES}{head.size}":
                    raise LedgerError("checkpoint", "an archived checkpoint is not of the size that its name says")
                yield Held(head, "the archived checkpoint")

    # -- states ----------------------------------------------------------------------------------------------------------------

    def _check_states_are_there(self, claims: Claims) -> None:
        """Every state of a listed stream is shown."""
        for log in self.logs.values():
            if log.check:
                self._check_states_of(log, log.check, claims.streams.get(log.name, frozenset()))

    def _check_no_other_states(self) -> None:
        """Every shown state is some entry's, the list is of exactly these, and every folder is there for something."""
        try:
            if self.files.hollow:
                raise LedgerError("extra", "there is a folder with nothing in it")
            if any(digest not in self.named for digest in self.files.states):
                raise LedgerError("extra", "there is a state that no entry names")
            if not sums_are_those_of(self.files):
                raise LedgerError("state", "states/SHA256SUMS does not list exactly the states")
        except LedgerError as problem:
            self.findings.append(Finding.of(Step.STATES, problem))

    def _check_states_of(self, log: _Log, check: LogCheck, streams: frozenset[str] | None) -> None:
        absent = 0
        for position in range(1, len(check.digests) // 32 + 1):
            digest = check.digest(position)
            if digest in self.files.states:
                self._name(digest, log.name, position)
            elif streams is None:
                absent = absent or position
        if streams is not None:
            absent = next((position for position in check.wanted if check.digest(position) not in self.files.states), 0)
        if absent:
            reason = "the state of this entry is not there, though its stream is claimed to be complete"
            log.findings.append(Finding(Step.STATES, absent, "missing", reason))
        if any(stream not in check.versions for stream in streams or ()):
            log.findings.append(Finding(Step.STATES, 0, "missing", "a stream that is claimed to be complete has no entry"))

    def _adopted(self, origin: str, check: LogCheck) -> str:
        """Whether the policy that the log says it is judged by is one of the reader's own. It may well be another file of the same
        keys, so this is no finding; but whoever has changed keys in silence is met here."""
        place = self.files.states.get(check.digest(check.adopted)) if check.adopted else None
        said = adopted_in(place.read(LARGEST)) if place else None
        if not said or said[1] in {policy.digest for policy in self.asked.policy.epochs}:
            return ""
        epoch, digest = said
        return f"{origin} says in entry {check.adopted} that it is judged by epoch {epoch}, SHA-256 {digest}: no policy of yours"

    def _check_case(self, claims: Claims) -> None:
        if not self.asked.case:
            return
        listed, log = claims.streams.get("cases", frozenset()), self.logs.get("cases")
        claimed = "cases" in claims.streams and (listed is None or self.asked.case in listed)
        if not claimed or not log or (log.check and self.asked.case not in log.check.versions):
            findings = log.findings if log else self.findings
            findings.append(Finding(Step.STATES, 0, "missing", "the case that was asked for is not shown"))

    def _name(self, digest: bytes, log: str, position: int) -> None:
        first = self.named.setdefault(digest, (log, position))
        if first[0] != log and log not in (name for name, _ in self.elsewhere.get(digest, ())):
            self.elsewhere.setdefault(digest, []).append((log, position))

    def _where(self, digest: bytes) -> list[Where]:
        return [self.named[digest], *self.elsewhere.get(digest, ())]

    def _judge_states(self, claims: Claims) -> None:
        shown = iter([Shown(digest, place) for digest, place in self.files.states.items() if digest in self.named])
        runs = iter(lambda: list(islice(shown, STATES)), [])
        count = 0
        for judged in self.hands.map(judge, runs):
            for digest, code, reason in judged.wrong:
                step = Step.STATES if code == "state" else Step.INSTANT
                for log, position in self._where(digest):
                    self.logs[log].findings.append(Finding(step, position, code, reason))
            for digest, log, position in judged.causes:
                for where in self._where(digest):
                    self._check_cause(where, log, position, claims)
            self.report.read += judged.read
            count += STATES
            self.progress("states", min(count, len(self.named)), len(self.named))

    def _check_cause(self, of: Where, log: str, position: int, claims: Claims) -> None:
        """An instant is causally closed: what is shown was caused by what is at least covered, if by a log of it."""
        own, at = of
        if log not in self.logs:
            return
        last = at - 1 if log == own else claims.sizes[log]
        if not 1 <= position <= last:
            reason = f"it was caused by what is no entry of {log} before it, or none that the instant covers"
            self.logs[own].findings.append(Finding(Step.INSTANT, at, "cause", reason))

    # -- age -------------------------------------------------------------------------------------------------------------------

    def _check_age(self, log: _Log) -> None:
        if not log.check or not log.check.newest or not log.opened:
            return
        newest = datetime.fromisoformat(log.check.newest)
        if newest > self.asked.now + AHEAD:
            log.findings.append(Finding(Step.AGE, log.check.checkpoint.size, "stale", "the newest entry is stamped in the future"))
        if finding := too_old(log.opened, newest, self.asked):
            log.findings.append(finding._replace(position=log.check.checkpoint.size))


def too_old(opened: Opened, newest: datetime | None, asked: Asked) -> Finding | None:
    """Whether a head is older than the reader takes. With witnesses their word counts, else the newest stamp, if it has one."""
    if opened.witnessed_at is not None:
        newest = datetime.fromtimestamp(min(opened.witnessed_at, FAR), UTC)
    if newest is None and asked.max_age is None:
        return None
    if newest is None:
        return Finding(Step.AGE, 0, "stale", "no witness says when it was seen: it may be old")
    if newest > asked.now + AHEAD:
        return Finding(Step.AGE, 0, "stale", "the time that it is judged by lies in the future")
    if asked.max_age is not None and (not asked.max_age or asked.now - newest > asked.max_age):
        return Finding(Step.AGE, 0, "stale", f"nothing is newer than {newest.isoformat(timespec='seconds')}")
    return None
