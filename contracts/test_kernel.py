"""The words of a domain: what a state becomes when some of its fields change."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.kernel import changed


@dataclass(frozen=True)
class State:
    """Some state of a stream."""

    name: str
    count: int = 0
    seen: tuple[str, ...] = field(default_factory=tuple)


STATES = st.builds(State, st.text(), st.integers(), st.tuples(st.text()))
CHANGES = st.fixed_dictionaries({}, optional={"name": st.text(), "count": st.integers(), "seen": st.tuples(st.text())})


@given(STATES, CHANGES)
def test_a_changed_state_is_what_the_constructor_would_have_made(state, changes):
    before = replace(state)
    after = changed(state, **changes)
    assert after == replace(state, **changes)
    assert state == before
    assert hash(after) == hash(replace(state, **changes))


def test_a_field_that_a_state_has_not_is_refused_by_name():
    with pytest.raises(TypeError, match=r"State has no field \['nmae'\]"):
        changed(State("a"), nmae="b")
