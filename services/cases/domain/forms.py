"""What the answers of a form point to. Our own reading, to be chosen against with a reason; it never switches an emergency off."""

from collections import Counter
from collections.abc import Sequence

from contracts.shapes import Answer

GRAVITY = ("low", "medium", "high")


def indicated_level(answers: Sequence[Answer]) -> str:
    """The level of danger that most answers point to, the graver one where they are as many."""
    counts = Counter(_danger(answer) for answer in answers)
    return GRAVITY[max(counts, key=lambda danger: (counts[danger], danger))]


def indicated_conclusion(answers: Sequence[Answer]) -> str:
    """Art. 30.1: `close` needs that no more danger remains, so one grave answer is enough to point to `continue`."""
    grave = any(_danger(answer) == GRAVITY.index("high") for answer in answers)
    return "close" if indicated_level(answers) == "low" and not grave else "continue"


def _danger(answer: Answer) -> int:
    """In the table of harm high is bad, in that of the child's capacity high is good."""
    level = GRAVITY.index(answer.level)
    return len(GRAVITY) - 1 - level if ".capacity." in answer.row else level
