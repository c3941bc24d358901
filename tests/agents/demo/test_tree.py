"""The walk over a directory."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents.demo.search import rank
from intercom_mux.agents.demo.tree import FILE_MAX_BYTES, Tree

ANYWHERE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def names(root: Path) -> list[str]:
    return [document.path for document in Tree(root).documents()]


def test_files_come_in_a_fixed_order(tmp_path: Path) -> None:
    """Files before subdirectories, each by name."""
    write(tmp_path, {"b.py": "", "a/z.py": "", "a.py": "", "a/b/c.py": "", "c/d.py": ""})
    assert names(tmp_path) == ["a.py", "b.py", "a/z.py", "a/b/c.py", "c/d.py"]


def test_what_nobody_wants_quoted_is_left_out(tmp_path: Path) -> None:
    """Hidden, dependency, secret, binary and huge files are not read."""
    unwanted: dict[str, str | bytes] = {
        ".git/config": "x",
        ".env": "TOKEN=1",
        ".venv/a.py": "x",
        "node_modules/a/index.js": "x",
        "server.pem": "x",
        "id_rsa": "x",
        "secrets.yaml": "x",
        "logo.png": b"\x89PNG\0\0",
        "huge.txt": "x" * (FILE_MAX_BYTES + 1),
    }
    write(tmp_path, unwanted | {"secrets.py": "x", ".github/ci.yaml": "x"})
    assert names(tmp_path) == ["secrets.py", ".github/ci.yaml"]


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ("*.log\n", ["a.py", "build/x.py", "src/s.py", "src/build/y.py"]),
        ("build/\n", ["a.log", "a.py", "src/s.py"]),
        ("/build\n", ["a.log", "a.py", "src/s.py", "src/build/y.py"]),
        ("src/*.py\n", ["a.log", "a.py", "build/x.py", "src/build/y.py"]),
        ("*.py\n!s.py\n", ["a.log", "src/s.py"]),
        ("**/build\n# note\n\n", ["a.log", "a.py", "src/s.py"]),
        ("[ab].p?\n", ["a.log", "build/x.py", "src/s.py", "src/build/y.py"]),
        ("[!a].py\n", ["a.log", "a.py"]),
        ("[\n[z-a]\n(\n", ["a.log", "a.py", "build/x.py", "src/s.py", "src/build/y.py"]),
    ],
)
def test_gitignore_is_respected(tmp_path: Path, rules: str, left: list[str]) -> None:
    """The common forms of rules decide what is read; malformed ones count for nothing."""
    write(tmp_path, dict.fromkeys(["a.log", "a.py", "build/x.py", "src/s.py", "src/build/y.py"], "x"))
    write(tmp_path, {".gitignore": rules})
    assert names(tmp_path) == left


def test_a_nested_gitignore_counts_below_it_only(tmp_path: Path) -> None:
    """Rules are relative to the directory of their file."""
    write(tmp_path, {"a/.gitignore": "/x.py", "a/x.py": "", "a/b/x.py": "", "x.py": ""})
    assert names(tmp_path) == ["x.py", "a/b/x.py"]


def test_links_fifos_and_unreadable_places_are_passed_over(tmp_path: Path) -> None:
    """No loop, no way out of the directory, no waiting for a writer."""
    write(tmp_path, {"a/real.py": "x"})
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "out.txt").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    assert names(tmp_path) == ["a/real.py"]
    assert names(tmp_path / "missing") == []


def test_a_name_that_is_no_text_can_be_shown(tmp_path: Path) -> None:
    """File names are bytes; what cannot be decoded is replaced, so that it can be sent."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.py")).write_text("x")
    assert [name.encode() for name in names(tmp_path)] == ["caf\ufffd.py".encode()]


def test_the_walk_stops_at_its_bounds_and_says_so(tmp_path: Path) -> None:
    """A count or a time ends the walk; `stopped_by` names which."""
    write(tmp_path, {f"{n}.py": "x" for n in range(10)})
    by_count = Tree(tmp_path, files_max=4)
    assert (len(list(by_count.documents())), by_count.read, by_count.stopped_by) == (4, 4, "4 files")
    seconds = itertools.count()
    by_time = Tree(tmp_path, time_max_s=3, clock=lambda: next(seconds))
    assert (len(list(by_time.documents())), by_time.stopped_by) == (3, "3 s")
    whole = Tree(tmp_path)
    assert (len(list(whole.documents())), whole.stopped_by) == (10, "")


def test_time_is_watched_where_nothing_is_read(tmp_path: Path) -> None:
    """A directory full of files that are left out cannot hold the walk up."""
    write(tmp_path, {f"{n}.pem": "x" for n in range(10)})
    seconds = itertools.count()
    tree = Tree(tmp_path, time_max_s=3, clock=lambda: next(seconds))
    assert (list(tree.documents()), tree.stopped_by) == ([], "3 s")


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


@ANYWHERE
@given(
    st.dictionaries(NAMES | st.sampled_from([".gitignore", "a.py"]), st.binary(max_size=200) | st.none(), max_size=6),
    st.text(max_size=30),
)
def test_any_tree_can_be_searched(home: Path, files: dict[str, bytes | None], question: str) -> None:
    """Whatever bytes lie under whatever names, walking and ranking never raise."""
    root = home / os.urandom(6).hex()
    root.mkdir()
    for name, content in files.items():
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)
    rank(question, Tree(root).documents())
