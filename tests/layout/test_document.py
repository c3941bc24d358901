"""YAML to nodes with places."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.layout import document
from intercom_mux.layout.document import Listing, Mapping, Node, Scalar, Source, parse
from intercom_mux.layout.problems import Problems

PATH = Path("team.yaml")
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

LINE_ENDS = "\x85\u2028\u2029"
"""YAML 1.1 takes these for line ends, and PyYAML does not write them back."""

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=LINE_ENDS), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | texts
keys = st.text("ab:", max_size=3)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner), max_leaves=8)


def plain(node: Node) -> object:
    """Return a node as lists, dictionaries, texts, and None for what YAML takes for nothing."""
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    if isinstance(node, Mapping):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    return None if node.kind == "nothing" else node.text


def as_text(value: object) -> object:
    """Return a Python value with its scalars as YAML writes them."""
    if isinstance(value, list):
        return [as_text(item) for item in value]
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    return value if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("loader", [document._LOADER, yaml.SafeLoader])
@relaxed
@given(value=values, is_flow=st.booleans())
def test_dumped_value_is_read_back(loader: type, value: object, is_flow: bool) -> None:
    """What PyYAML writes, in block or flow style, is read back by either parser."""
    text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False, default_flow_style=is_flow)
    problems = Problems(PATH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "_LOADER", loader)
        node = parse(PATH, text, problems)

    problems.raise_any()
    assert node is not None
    assert plain(node) == as_text(value)


def test_places_count_characters_and_lines_as_editors_do() -> None:
    """A column counts characters, and only a line feed ends a line."""
    node = parse(PATH, 'é: 1\r\n😀b: "\u2028"\nc: 3\n', Problems(PATH))

    assert isinstance(node, Mapping)
    marks = [(entry.mark.line, entry.mark.column, entry.value.mark.column) for entry in node.entries.values()]
    assert marks == [(1, 1, 4), (2, 1, 5), (3, 1, 4)]


def test_fragment_of_a_block_text_has_its_own_place() -> None:
    """What stands in the third line of a text is found there; what does not stand in it has the text's place."""
    node = parse(PATH, "${x} # not here\n", Problems(PATH))
    assert isinstance(node, Scalar)
    assert node.mark_of("not") == node.mark

    node = parse(PATH, "a: |\n  one\n  two ${x}\n", Problems(PATH))
    assert isinstance(node, Mapping)
    scalar = node.entries["a"].value
    assert isinstance(scalar, Scalar)
    assert str(scalar.mark_of("${x")) == "team.yaml:3:7"
    assert str(scalar.mark_of("absent")) == "team.yaml:1:4"


@given(st.text("a\n \r", max_size=20), st.integers(0, 30))
@relaxed
def test_every_offset_has_a_place_inside(text: str, offset: int) -> None:
    """Offsets at and beyond the end are brought back to a visible character."""
    mark = Source(PATH, text).mark(offset)
    line = text.split("\n")[mark.line - 1]

    assert 1 <= mark.column <= max(len(line), 1)
