"""The order of a start: pure."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.layout.model import Dependency
from intercom_mux.team.start_order import Progress, verdict, waves

pure = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
NAMES = [f"p{number}" for number in range(8)]
GRAPHS = st.lists(st.sets(st.integers(0, 7)), min_size=8, max_size=8).map(
    # Only earlier ones, so that there is no circle.
    lambda rows: {NAMES[i]: [Dependency(NAMES[j]) for j in sorted(row) if j < i] for i, row in enumerate(rows)}
)


@pure
@given(GRAPHS)
def test_everybody_comes_once_and_after_whom_they_wait_for(graph: dict[str, list[Dependency]]) -> None:
    """Each is in the first wave that it can be in."""
    found = waves(graph)
    place = {name: index for index, wave in enumerate(found) for name in wave}
    assert sorted(place) == NAMES
    assert sum(map(len, found)) == len(NAMES)
    for name, needs in graph.items():
        assert place[name] == max((place[need.peer] + 1 for need in needs), default=0)


def test_a_circle_comes_never() -> None:
    """It ends; the layout's loader tells the circle itself."""
    assert waves({"a": [Dependency("b")], "b": [Dependency("a")], "c": []}) == [["c"]]


def test_the_conditions_mean_what_they_say() -> None:
    """Each condition and state gives go, wait, or the reason for never."""
    table = {
        ("started", "waiting"): None,
        ("started", "started"): "",
        ("started", "exited-ok"): "",
        ("ready", "started"): None,
        ("ready", "ready"): "",
        ("ready", "exited-ok"): "a, which it depends on, has ended before it was ready",
        ("exited-ok", "ready"): None,
        ("exited-ok", "exited-ok"): "",
        ("ready", "failed"): "a, which it depends on, is ill",
    }
    for (condition, state), answer in table.items():
        dependency = Dependency("a", condition)
        assert verdict([dependency], {"a": Progress(state, "is ill")}) == answer, (condition, state)
    assert verdict([Dependency("elsewhere")], {}) == ""
