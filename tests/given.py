"""`given(facts).when(command).then(facts)` or `.refused(code)`: the whole test vocabulary of a domain."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import reduce
from typing import Any, Self
from uuid import UUID

from contracts.kernel import Command, Fact, Given, Refused
from contracts.rules import LAW

NOW = datetime(2026, 3, 3, 2, 35, tzinfo=UTC)
STREAM = UUID(int=111)


class given:  # noqa: N801 - reads as a sentence
    """A history; `decide` and `evolve` are the domain's. Bind them once a module with functools.partial."""

    def __init__(self, *facts: Fact, decide: Callable[..., Iterable[Fact]], evolve: Callable[..., Any]) -> None:
        self._decide, self._evolve, self._outcome = decide, evolve, None
        self.state: Any = reduce(lambda state, fact: evolve(fact, state), facts, None)

    def when(
        self, command: Command, by: str = "officer-7", as_: str = "counsellor", at: datetime = NOW, stream: UUID = STREAM
    ) -> Self:
        """Somebody wants this at that instant."""
        full = command.knowing(Given(actor=by, as_=as_, now=at, rules=LAW, stream=stream, salt=bytes(16)))
        self._outcome: list[Fact] | Refused | None
        try:
            self._outcome = list(self._decide(full, self.state))
        except Refused as refusal:
            self._outcome = refusal
        return self

    @property
    def told(self) -> list[Fact]:
        """The facts it yielded, to be looked at one by one."""
        if isinstance(self._outcome, Refused):
            raise AssertionError(f"refused: {self._outcome.code} {self._outcome.details}")
        assert self._outcome is not None, "when() first"
        return self._outcome

    def then(self, *facts: Fact) -> None:
        """Exactly these facts, in this order."""
        assert list(facts) == self.told

    def then_nothing(self) -> None:
        """It succeeds and changes nothing."""
        assert [] == self.told

    def refused(self, code: str, **details: Any) -> None:
        """The rules say no, with this code and at least these details."""
        assert isinstance(self._outcome, Refused), f"not refused: {self._outcome}"
        assert code == self._outcome.code
        assert details == {name: self._outcome.details.get(name) for name in details}
