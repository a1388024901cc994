"""What is wrong with a piece of evidence."""


class LedgerError(ValueError):
    """A finding. `code` is one of those in `docs/how-to-verify.md`; `reason` is a sentence that quotes nothing of the content."""

    def __init__(self, code: str, reason: str, position: int | None = None) -> None:
        super().__init__(code, reason, position)  # as they came, so that it can pass between processes
        self.code, self.reason, self.position = code, reason, position

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"
