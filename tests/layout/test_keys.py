"""What the keys about a peer's life, its settings and the arrangement load to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from intercom_mux.errors import LayoutError
from intercom_mux.layout.env_file import EnvFileError, parse_env_file
from intercom_mux.layout.model import Arrangement, Command, Dependency, Resources, Restart, Worktree
from tests.layout.support import load

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "version: 1\n"


def test_life_cycle_keys_arrive(tmp_path: Path) -> None:
    """Worktree, dependencies, restart and resources become data; an entry with a count stands for all of its peers."""
    text = """\
version: 1
before_up: make deps
after_up: [{run: [make, warm], cwd: sub, timeout_s: 5, on_failure: abort}, echo hi]
peers:
  w: {count: 2, worktree: {branch: "w/{peer}", base: main, setup: npm ci, keep: always}, restart: always}
  p: {depends_on: {w: ready, t: exited-ok}, worktree: true, restart: {policy: on-failure, max_retries: 2, backoff_s: 3}}
  t: {command: make, resources: {nice: 5, memory_mb: 100}, depends_on: w-1, restart: no}
"""
    layout = load(tmp_path, text)

    w, _w2, p, t = layout.peers
    assert layout.before_up == (Command(("sh", "-c", "make deps")),)
    assert layout.after_up == (
        Command(("make", "warm"), tmp_path / "sub", 5, "abort"),
        Command(("sh", "-c", "echo hi"), on_failure="warn"),
    )
    assert w.entry == "w"
    assert w.worktree == Worktree("w/{peer}", "main", Command(("sh", "-c", "npm ci")), "always")
    assert (w.restart, p.restart, t.restart) == (Restart("always"), Restart("on-failure", 2, 3), Restart())
    assert p.depends_on == (Dependency("w-1"), Dependency("w-2"), Dependency("t", "exited-ok"))
    assert (p.worktree, t.worktree, t.resources) == (Worktree(), None, Resources(5, 100))
    assert t.depends_on == (Dependency("w-1"),)


def test_roles_stand_between_defaults_and_peers(tmp_path: Path) -> None:
    """A peer is filled up from its role first, from the defaults then; false is said too."""
    text = """\
version: 1
defaults: {model: d, worktree: true, env: {A: d, B: d}}
roles: {worker: {model: r, agent: demo, env: {B: r, C: r}}}
peers: {worker: {env: {C: p}}, other: {role: worker, model: p, worktree: false}, third: }
"""
    worker, other, third = load(tmp_path, text).peers

    assert (worker.model, worker.agent, worker.env) == ("r", "demo", {"A": "d", "B": "r", "C": "p"})
    assert (other.model, other.agent, other.worktree) == ("p", "demo", None)
    assert (third.model, third.worktree) == ("d", Worktree())


def test_prompt_in_parts(tmp_path: Path) -> None:
    """Parts are joined by empty lines; files are taken as they are, texts with their variables."""
    (tmp_path / "rules.md").write_text("Rules: ${x}\n")

    (peer,) = load(tmp_path, HEAD + "vars: {y: now}\npeers: {a: {prompt: [{file: rules.md}, 'Do it ${y}']}}\n").peers

    assert peer.prompt == "Rules: ${x}\n\nDo it now\n"


def test_env_files_and_env(tmp_path: Path) -> None:
    """A later file wins over an earlier one, `env` over both."""
    (tmp_path / ".env").write_text("A=1\nB='x # y'\n")
    (tmp_path / "b.env").write_text('export A=2 # two\nC="a\\nb"\n')

    (peer,) = load(tmp_path, HEAD + "peers: {a: {env_file: [.env, b.env], env: {B: z}}}\n").peers

    assert peer.env == {"A": "2", "B": "z", "C": "a\nb"}


@pytest.mark.parametrize(("text", "line"), [("A=1\nB", 2), ("1A=x", 1), ("A='x", 1), ('A="x" y', 1), ("A = 1\n=x", 2)])
def test_faulty_env_file(text: str, line: int) -> None:
    """The first line that is no assignment is named."""
    with pytest.raises(EnvFileError) as raised:
        parse_env_file(text)

    assert raised.value.line == line


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"n": "9"}, r"--var n: must be at most 4, not \"9\""),
        ({"n": "0"}, r"--var n: must be at least 1, not \"0\""),
        ({"n": "x"}, r"--var n: must be a whole number, not \"x\""),
        ({"size": "smal"}, r'--var size: must be one of small, big, not "smal" \(did you mean "small"\?\)'),
        ({"flag": "maybe"}, r"--var flag: must be true or false"),
    ],
)
def test_declared_variables_are_checked(tmp_path: Path, given: dict[str, str], problem: str) -> None:
    """A --var of the wrong type, out of range or not among the choices is told."""
    text = HEAD + (
        "vars:\n  n: {type: int, default: 2, min: 1, max: 4}\n  size: {choices: [small, big], default: big}\n"
        "  flag: {type: bool, default: yes}\n"
        'peers: {w: {count: "${n}", model: "${size}", trust: "${flag}"}}\n'
    )

    assert [(peer.model, peer.trust) for peer in load(tmp_path, text).peers] == [("big", True)] * 2
    with pytest.raises(LayoutError, match=problem):
        load(tmp_path, text, given)


@pytest.mark.parametrize(
    ("arrange", "told", "notices"),
    [
        ("tiled", "tiled", ()),
        ("{columns: [p, w]}", "columns(p, rows(w-1, w-2, t))", ("arrange does not name t: put last",)),
        ("{rows: [{columns: [p, w-2], size: 30%}, t, w-1]}", "rows(columns(p, w-2) 30%, t, w-1)", ()),
        ("{windows: [{name: a, rows: [p, w]}, {name: b, peer: t}]}", "a: rows(p, columns(w-1, w-2)); b: t", ()),
        (
            "{windows: [{name: a, peer: p}]}",
            "a: rows(p, w-1, w-2, t)",
            ("arrange does not name w-1, w-2, t: put last",),
        ),
    ],
)
def test_arrangements(tmp_path: Path, arrange: str, told: str, notices: tuple[str, ...]) -> None:
    """Trees are completed with who is missing, and come back from JSON as they were."""
    layout = load(tmp_path, HEAD + f"arrange: {arrange}\nfocus: p\npeers: {{p: , w: {{count: 2}}, t: }}\n")

    assert str(layout.arrange) == told
    assert layout.arrange.focus == "p"
    assert Arrangement.of(json.loads(json.dumps(layout.arrange.to_json()))) == layout.arrange
    assert layout.notices == notices
