"""What `hotline doctor` finds wrong, in plain sentences."""

from dataclasses import dataclass
from typing import Literal

Page = Literal[
    "part-down",
    "worker-keeps-ending",
    "parked-facts",
    "topic-damaged",
    "log-behind-topic",
    "hole-in-the-log",
    "disk-full",
    "clock-wrong",
    "settings-changed",
    "evidence",
    "log-closed",
]
"""A page of docs/runbooks."""


@dataclass(frozen=True)
class Finding:
    """part: where. wrong: what is the matter. do: the next step. page: the runbook that says more."""

    part: str
    wrong: str
    do: str
    page: Page

    def __str__(self) -> str:
        return f"✗ {self.part}: {self.wrong}.\n  {self.do}. docs/runbooks/{self.page}.md"
