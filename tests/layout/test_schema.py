"""The JSON Schema and the loader say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.errors import LayoutError
from intercom_mux.layout.find import bundled_layouts
from intercom_mux.layout.model import ARRANGEMENTS, CONDITIONS, KEEP, ON_FAILURE, RESTARTS, SCOPES
from intercom_mux.layout.schema import layout_schema
from tests.layout.support import load
from tests.layout.test_docs import EXAMPLES

VALIDATOR = jsonschema.Draft202012Validator(layout_schema())
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)

BROKEN = Path(__file__).parent / "broken"
STRUCTURAL = (
    *("misspelt-keys", "no-version", "no-peers", "peers-as-list", "peer-as-text", "list-at-the-top", "counts"),
    *("arrange-tree", "arrange-windows", "life-cycle", "roles", "typed-variables", "extends-nothing", "empty-peers"),
)


def test_the_schema_is_a_schema() -> None:
    """It is valid under draft 2020-12."""
    jsonschema.Draft202012Validator.check_schema(layout_schema())


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_of_the_docs_are_accepted(text: str) -> None:
    """Every example of docs/layouts.md is valid for an editor too."""
    VALIDATOR.validate(yaml.safe_load(text))


@pytest.mark.parametrize("path", bundled_layouts().values(), ids=lambda path: path.stem)
def test_bundled_layouts_are_accepted(path: Path) -> None:
    """So is every bundled layout."""
    VALIDATOR.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("name", STRUCTURAL)
def test_structural_faults_are_refused(name: str) -> None:
    """Unknown keys, wrong types, numbers out of range and missing parts are red in the editor."""
    assert not VALIDATOR.is_valid(yaml.safe_load((BROKEN / f"{name}.yaml").read_text()))


COMMAND = st.fixed_dictionaries(
    {"run": st.sampled_from(["make", ["make", "x"]])},
    optional={
        "timeout_s": st.integers(0, 90_000),
        "on_failure": st.sampled_from([*ON_FAILURE, "stop"]),
        "cwd": st.just("."),
    },
)
SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "role": st.sampled_from(["scout", "two words", 3]),
    "env": st.sampled_from([{}, {"A": 1}, {"A": "x"}, {"a-b": "x"}, {"A": [1]}, None, "A=1"]),
    "prompt": st.sampled_from(["go", ["go", "on"], [], {"file": []}, {"fil": "x"}, [["x"]]]),
    "trust": st.sampled_from([True, False, "perhaps", 3]),
    "worktree": st.booleans()
    | st.fixed_dictionaries(
        {}, optional={"branch": st.just("w-{peer}"), "keep": st.sampled_from([*KEEP, "x"]), "x": st.just(1)}
    ),
    "restart": st.sampled_from([*RESTARTS, False, "often", {"policy": "always"}, {"max_retries": 3}]),
    "resources": st.fixed_dictionaries({}, optional={"nice": st.integers(-1, 21), "memory_mb": st.integers(10, 20)}),
}
PEER = st.none() | st.fixed_dictionaries(
    {},
    optional={
        **SETTINGS,
        "count": st.integers(0, 42),
        "agent": st.just("demo"),
        "reference": st.just("../x"),
        "command": st.sampled_from(["make", ["make"], [], {"run": "x"}]),
        "depends_on": st.sampled_from(["z", ["z"], {"z": "ready"}, {"z": "soon"}, {"z": CONDITIONS[0]}]),
    },
)
SPLIT = st.sampled_from(
    [
        *ARRANGEMENTS,
        *({"columns": ["z"]}, {"rows": [{"peer": "z", "size": "40%"}]}, {"columns": [{"peer": "z", "size": 30}]}),
        *({"columns": []}, {"columns": ["z"], "rows": ["z"]}, {"rows": [{"peer": "z", "size": "0%"}]}, {"peer": "z"}),
        *({"windows": [{"name": "w", "peer": "z"}]}, {"windows": [{"peer": "z"}]}, {"windows": []}, "sideways", ["z"]),
        {"columns": [{"rows": ["z"], "size": "50%", "focus": True}]},
    ]
)
LAYOUT = st.fixed_dictionaries(
    {"version": st.just(1), "peers": st.dictionaries(st.sampled_from(["a", "b"]), PEER, max_size=2)},
    optional={
        "arrange": SPLIT,
        "board": st.sampled_from([True, False, "perhaps", 3, None]),
        "scope": st.sampled_from([*SCOPES, "mine"]),
        "before_up": st.lists(COMMAND | st.just("make"), max_size=2) | COMMAND | st.just({"cwd": "."}),
        "defaults": st.fixed_dictionaries({}, optional=SETTINGS),
        "roles": st.dictionaries(st.sampled_from(["scout"]), st.fixed_dictionaries({}, optional=SETTINGS)),
        "vars": st.sampled_from([{"x": 1}, {"x": {"type": "int", "default": 2}}, {"x": {"typ": "int"}}, None, [1]]),
        "focus": st.just("z"),
        "odd": st.just(1),
    },
)


@relaxed
@given(LAYOUT)
def test_schema_and_loader_accept_the_same(tmp_path_factory: pytest.TempPathFactory, layout: dict[str, Any]) -> None:
    """On files whose references are all good, one refuses exactly when the other does."""
    layout["peers"]["z"] = None
    try:
        load(tmp_path_factory.getbasetemp(), yaml.safe_dump(layout, sort_keys=False))
        problem = ""
    except LayoutError as error:
        problem = error.message
    assert VALIDATOR.is_valid(layout) == (not problem), problem or "the schema refuses, the loader does not"
