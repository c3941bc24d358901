"""How problems are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from intercom_mux.errors import LayoutError
from intercom_mux.layout.model import Mark
from intercom_mux.layout.problems import Guess, Problems, did_you_mean, quoted, shown

if TYPE_CHECKING:
    from pathlib import Path


def test_problems_are_told_in_file_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order of finding, the message follows the file; the same problem twice counts once."""
    monkeypatch.chdir(tmp_path)
    problems = Problems(tmp_path / "my team.yaml")
    for line, column in ((3, 1), (1, 9), (1, 2), (3, 1)):
        problems.add(Mark(problems.path, line, column), "a.b", "is odd", Guess("x", ("y",)))

    with pytest.raises(LayoutError) as raised:
        problems.raise_any()

    assert raised.value.message.splitlines() == [
        "my team.yaml: 3 problems",
        "my team.yaml:1:2: a.b: is odd",
        "my team.yaml:1:9: a.b: is odd",
        "my team.yaml:3:1: a.b: is odd",
    ]
    assert raised.value.hint == "fix these lines, then: intercom-mux validate 'my team.yaml'"


def test_no_problem_raises_nothing(tmp_path: Path) -> None:
    """Nothing happens when nothing is wrong."""
    Problems(tmp_path).raise_any()


@pytest.mark.parametrize(
    ("word", "expected"),
    [("rol", "role"), ("PROMPT", "prompt"), ("workr", "worker-1"), ("zebra", None), ("", None), ("x" * 5000, None)],
)
def test_did_you_mean(word: str, expected: str | None) -> None:
    """A close option is proposed, case set aside and the first of equals; nothing is better than a far one."""
    assert did_you_mean(word, ["role", "prompt", "worker-1", "worker-2"]) == expected


def test_nothing_to_choose_from() -> None:
    """Without options there is no suggestion."""
    assert did_you_mean("role", []) is None


def test_quoted_text_is_one_short_printable_line() -> None:
    """Line ends and control characters are escaped, long texts cut."""
    assert quoted("a\nb\x1b\u2028é") == '"a\\nb\\x1b\\u2028é"'
    assert len(quoted("x" * 5000)) < 70


def test_shown_path_is_relative_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies elsewhere is shown in full, and a vanished working directory does no harm."""
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert shown(inner / "a.yaml") == "a.yaml"
    assert shown(tmp_path / "a.yaml") == str(tmp_path / "a.yaml")

    inner.rmdir()

    assert shown(inner / "a.yaml") == str(inner / "a.yaml")
