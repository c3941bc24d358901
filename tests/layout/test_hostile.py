"""Laws of the loader over generated files: it loads or says why, and it loads what was written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from intercom_mux.errors import LayoutError
from intercom_mux.layout.model import ARRANGEMENTS, NAME_PATTERN, SCOPES
from tests.layout.support import load

relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

FRAGMENTS = st.sampled_from(
    [
        *("version: 1\n", "peers:\n", "  a:\n", "    role: x\n", "  b: {count: 2}\n", "    env:\n", "    A: ${B:-1}\n"),
        *("vars: {x: 1}\n", "defaults: ", "supervisor: a\n", "prompt: {file: x}\n", "command: [a]\n"),
        *("- ", "? ", ": ", "&a ", "*a ", "<<: *a\n", "!!int ", "${", "}", "{", "[", "]", ",", "'", '"', "|\n", ">\n"),
        *("#", "\n", "\t", " ", "---\n", "...\n", "%YAML 1.1\n", "~", "null", "yes", "@", "`", "\\"),
        *("é", "😀", "\u2028", "\r\n", "\x85", "\0"),
    ]
)
SCRAPS = st.lists(FRAGMENTS, max_size=30).map("".join) | st.text(max_size=200)


@settings(relaxed, max_examples=400)
@given(st.binary(max_size=200) | SCRAPS.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"a: &x [*x]")
@example(b"\xff\xfea\x00")
@example(b"[" * 10_000)
@example(b"{a: " * 10_000)
@example(b"- " * 10_000)
@example(b"? " * 10_000)
@example(b'version: 1\npeers: {a: {role: "\\ud800"}}')
@example(b"version: 1\npeers: {a: {command: !!binary aGk=, env: {=: =}}}")
@example(b"version: 1\npeers: {a: {count: 99999999999999999999999, trust: ''}}\nname: \"\\0\"")
def test_any_bytes_load_or_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Nothing but LayoutError is ever raised, and every problem names a line and column inside the file."""
    try:
        load(tmp_path_factory.getbasetemp(), data)
    except LayoutError as error:
        assert_places_are_inside(data, error)


def assert_places_are_inside(data: bytes, error: LayoutError) -> None:
    problems: list[dict[str, Any]] = error.fields["problems"]
    assert problems
    assert error.message.count("\n") >= len(problems)
    lines = data.decode("utf-8-sig", "replace").split("\n")
    for problem in problems:
        assert 1 <= problem["line"] <= len(lines)
        assert 1 <= problem["column"] <= max(len(lines[problem["line"] - 1]), 1)
        assert problem["problem"].isprintable()


def test_laughing_aliases_cost_nothing(tmp_path: Path) -> None:
    """Aliases of aliases, which would expand to a billion nodes, are read in the size of the file."""
    text = "version: 1\na0: &a0 [x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))

    with pytest.raises(LayoutError, match="a9: unknown key"):
        load(tmp_path, text)


def test_peers_that_share_a_large_environment(tmp_path: Path) -> None:
    """An alias to a large mapping under every peer is bounded too."""
    env = ", ".join(f"V{n}: x" for n in range(9000))
    text = f"version: 1\npeers:\n  p0: &p {{env: {{{env}}}}}\n" + "".join(f"  p{n}: *p\n" for n in range(1, 5000))

    with pytest.raises(LayoutError, match="come to more than"):
        load(tmp_path, text)


printable = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=20)
lines = printable.filter(str.strip).filter(lambda text: "${" not in text)
words = lines.map(lambda text: "".join(text.split())).filter(bool)
names = st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda name: len(name) < 40)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0{\x85\u2028\u2029"), max_size=60)
peers = st.fixed_dictionaries(
    {},
    optional={
        "role": words,
        "agent": st.sampled_from(["auto", "demo", "claude"]),
        "model": lines,
        "env": st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True), texts, max_size=3),
        "prompt": texts,
        "trust": st.booleans(),
        "cwd": lines.filter(lambda text: not text.startswith("~")),
    },
)
layouts: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"version": st.just(1), "peers": st.dictionaries(names, peers, min_size=1, max_size=5)},
    optional={
        "name": names,
        "description": texts,
        "arrange": st.sampled_from(ARRANGEMENTS),
        "scope": st.sampled_from(SCOPES),
        "mux": st.sampled_from(["auto", "tmux"]),
    },
)


def has_distinct_names(layout: dict[str, Any]) -> bool:
    return len({name.casefold() for name in layout["peers"]}) == len(layout["peers"])


@relaxed
@given(layouts.filter(has_distinct_names))
def test_generated_layout_loads_to_what_was_generated(
    tmp_path_factory: pytest.TempPathFactory, layout: dict[str, Any]
) -> None:
    """Whatever a valid layout says arrives unchanged; what it does not say has its default."""
    project = tmp_path_factory.getbasetemp()
    written = yaml.safe_dump(layout, allow_unicode=True, sort_keys=False)

    loaded = load(project, written)

    assert loaded.name == layout.get("name", "team")
    assert loaded.arrange.kind == layout.get("arrange", "main-left")
    assert loaded.isolated == (layout.get("scope") == "isolated")
    for peer, (name, said) in zip(loaded.peers, layout["peers"].items(), strict=True):
        assert peer.name == name
        assert peer.role == said.get("role", name)
        assert peer.agent == said.get("agent", "auto")
        assert peer.model == said.get("model")
        assert dict(peer.env) == said.get("env", {})
        assert peer.prompt == (said.get("prompt") or None)
        assert peer.trust == said.get("trust", False)
        assert peer.cwd == Path(os.path.normpath(project / said.get("cwd", ".")))
