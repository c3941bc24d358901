"""Every broken layout of `broken/` against the message that a user reads, character by character."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from intercom_mux.errors import LayoutError
from intercom_mux.layout import document
from intercom_mux.layout.find import Found
from intercom_mux.layout.load import load_layout

BROKEN = Path(__file__).parent / "broken"
FILES = sorted(BROKEN.glob("*.yaml"))


def message_of(path: Path) -> str:
    with pytest.raises(LayoutError) as raised:
        load_layout(Found(path, BROKEN, "path"), environ={})
    return raised.value.message + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_broken_layout_is_told_in_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is exactly the one beside the file."""
    monkeypatch.chdir(BROKEN)

    assert message_of(path) == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_pure_python_parser_tells_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libyaml the message differs at most in the column."""
    monkeypatch.chdir(BROKEN)
    monkeypatch.setattr(document, "_LOADER", yaml.SafeLoader)

    expected = path.with_suffix(".txt").read_text()

    assert _without_columns(message_of(path)) == _without_columns(expected)


def _without_columns(message: str) -> str:
    return re.sub(r"^(.*?:\d+):\d+:", r"\1:", message, flags=re.MULTILINE)


def test_expected_messages_and_broken_layouts_come_in_pairs() -> None:
    """No expected text is left without its file, and the table stays large."""
    expected = {path.stem for path in BROKEN.glob("*.txt")}

    assert {path.stem for path in FILES} == expected
    assert len(expected) >= 50


def test_problems_are_data_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each problem names path, line, column, key and fault, and a suggestion when one is close."""
    monkeypatch.chdir(BROKEN)
    path = BROKEN / "misspelt-keys.yaml"
    with pytest.raises(LayoutError) as raised:
        load_layout(Found(path, BROKEN, "path"), environ={})

    assert raised.value.exit_code == 3
    assert raised.value.hint == "fix these lines, then: intercom-mux validate misspelt-keys.yaml"
    assert raised.value.fields["problems"][0] == {
        "path": str(path),
        "line": 2,
        "column": 1,
        "key": "superviser",
        "problem": "unknown key",
        "suggestion": "supervisor",
    }
