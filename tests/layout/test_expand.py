"""`${NAME}` and counts as pure functions."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.layout.expand import MAX_TEXT, TemplateError, names_in, parse, peer_names, render

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.sampled_from("ab ${}:-_$\n")) | st.text()
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def expanded(text: str, **values: str) -> str:
    value, undefined = render(parse(text), values.get)
    assert not undefined
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${a}", "A"),
        ("x${a}y${b}z", "xAyz"),
        ("${c:-d}", "d"),
        ("${b:-d}", "d"),
        ("${a:-d}", "A"),
        ("${c:-}", ""),
        ("${c:-${a}-${d:-e}}", "A-e"),
        ("$${a}", "${a}"),
        ("${c:-$${a}", "${a"),
        ("$a $(b) $$ $} }", "$a $(b) $$ $} }"),
        ("$$${a}", "$${a}"),
    ],
)
def test_reference_is_replaced(text: str, expected: str) -> None:
    """References, defaults for what is absent or empty, nesting and the escape, as documented."""
    assert expanded(text, a="A", b="") == expected


def test_values_are_not_expanded_again() -> None:
    """A reference inside a value stays text."""
    assert expanded("${a}", a="${b}", b="no") == "${b}"


def test_every_undefined_name_is_told() -> None:
    """Names without value and default are listed in order, unused defaults set aside."""
    assert render(parse("${x}${a:-${unused}}${y:-${z}}"), {"a": "A"}.get)[1] == ["x", "z"]


@pytest.mark.parametrize("text", ["${", "${}", "${1}", "${a", "${a-b}", "${a:b}", "${a:-b", "${a b}", "${a:-${b}"])
def test_broken_reference_is_refused(text: str) -> None:
    """What only looks like a reference is an error, not text."""
    with pytest.raises(TemplateError):
        parse(text)


def test_expanded_text_is_bounded() -> None:
    """Repeating a long value does not build a text without end."""
    with pytest.raises(TemplateError, match="longer than"):
        expanded("${a}${a}", a="x" * MAX_TEXT)


@relaxed
@given(st.lists(st.tuples(TEXTS, NAMES, TEXTS)), TEXTS)
def test_generated_values_come_out_as_they_went_in(parts: list[tuple[str, str, str]], tail: str) -> None:
    """Any literal text, escaped, and any values, whatever they contain, stand in the result unchanged."""
    values = {name: value for _, name, value in parts}
    text = "".join(f"{escaped(literal)}${{{name}}}" for literal, name, _ in parts) + escaped(tail)

    expected = "".join(literal.rstrip("$") + values[name] for literal, name, _ in parts) + tail.rstrip("$")
    assert render(parse(text), values.get) == (expected, [])
    assert {name for name, _ in names_in(text)} == values.keys()


def escaped(literal: str) -> str:
    """Escape `${`; a `$` at the end would swallow the next reference, so it goes."""
    return literal.rstrip("$").replace("${", "$${")


@relaxed
@given(TEXTS)
def test_any_text_parses_or_is_refused(text: str) -> None:
    """No text makes the parser fail in another way, and what has no `${` is itself."""
    try:
        value, _undefined = render(parse(text), lambda _name: "v")
    except TemplateError:
        return
    if "${" not in text:
        assert value == text


def test_peer_names() -> None:
    """One keeps its name, more are numbered from 1."""
    assert peer_names("worker", 1) == ["worker"]
    assert peer_names("worker", 3) == ["worker-1", "worker-2", "worker-3"]
