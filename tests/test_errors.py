"""The error tree, its picture and the table of exit codes agree."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from intercom_mux import errors
from intercom_mux.errors import IntercomError

DOCS = Path(__file__).parents[1] / "docs" / "cli.md"

CLASSES = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, IntercomError)}


def test_the_picture_in_the_docstring_is_the_tree() -> None:
    """Every class stands in the module's docstring with its exit code, and nothing else does."""
    drawn = dict(re.findall(r"^[\s│├└─]*([A-Z]\w+) +exit +(\d+)", errors.__doc__ or "", re.MULTILINE))
    assert {name: str(kind.exit_code) for name, kind in CLASSES.items()} == drawn


def test_the_table_in_the_docs_has_every_class() -> None:
    """docs/cli.md names every class with its exit code."""
    told = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", DOCS.read_text(), re.MULTILINE)}
    assert {name: kind.exit_code for name, kind in CLASSES.items()} == told


def test_codes_are_unique_and_stable_words() -> None:
    """No two classes share a code."""
    codes = [kind.code for kind in CLASSES.values()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"E_[A-Z_]+", code) for code in codes)


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES)
def test_an_error_carries_its_facts_into_json(kind: type[IntercomError]) -> None:
    """Code, message, hint and fields are in the JSON; a code of one's own replaces the class's."""
    error = kind("it failed", hint="do this", code="E_OWN", limit=3)
    assert str(error) == "it failed"
    assert error.to_json() == {"error": {"code": "E_OWN", "message": "it failed", "hint": "do this", "limit": 3}}
    assert kind("it failed").to_json() == {"error": {"code": kind.code, "message": "it failed"}}
