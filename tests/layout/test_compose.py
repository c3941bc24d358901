"""Layouts put together from several files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.errors import LayoutError
from intercom_mux.layout.compose import merge
from intercom_mux.layout.document import Entry, Mapping, Scalar, Source
from intercom_mux.layout.find import Found
from intercom_mux.layout.load import load_layout, required_variables
from tests.layout.support import load, write

BASE = """\
version: 1
name: base
description: The base
vars: {model: sonnet, level: 1}
arrange: {columns: [planner, worker]}
supervisor: planner
defaults: {env: {LEVEL: "${level}", KEEP: x}}
peers:
  planner: {prompt: {file: plan.md}}
  worker: {count: 2, model: "${model}"}
  scout: {role: scout}
"""


def test_the_file_is_stronger_key_by_key(tmp_path: Path) -> None:
    """Mappings are merged, other values replaced, and nothing takes a peer away; name and description stay its own."""
    write(tmp_path / "shared", BASE, "base.yaml")
    (tmp_path / "shared" / "plan.md").write_text("Plan.")
    text = """\
version: 1
extends: shared/base.yaml
vars: {level: 2}
arrange: {rows: [worker, planner]}
defaults: {env: {LEVEL: "${level}"}}
peers:
  worker: {count: 1}
  scout:
  tests: {command: make}
"""
    layout = load(tmp_path, text)

    planner, worker, tests = layout.peers
    assert (layout.name, layout.supervisor) == ("team", "planner")
    assert str(layout.arrange) == "rows(worker, planner, tests)"
    assert (planner.prompt, planner.env) == ("Plan.", {"LEVEL": "2", "KEEP": "x"})
    assert (worker.name, worker.model, tests.name) == ("worker", "sonnet", "tests")
    assert (planner.mark.path.name, worker.mark.path.name) == ("base.yaml", "team.yaml")


def test_bundled_layout_under_its_own_name(tmp_path: Path) -> None:
    """A project's layout extends the bundled one that it hides."""
    text = "version: 1\nextends: planner-worker\npeers: {worker: {count: 3}}\n"
    path = write(tmp_path, text, ".intercom-mux/planner-worker.yaml").path

    layout = load_layout(Found(path, tmp_path, "project"), environ={})

    assert [peer.name for peer in layout.peers if peer.entry == "worker"] == ["worker-1", "worker-2", "worker-3"]


def test_included_files_in_order(tmp_path: Path) -> None:
    """Peers and roles come from several files; a later one wins, the file itself over all."""
    write(tmp_path, "version: 1\nroles: {scout: {model: a}}\npeers: {s: {role: scout}, x: {model: 1}}\n", "p/1.yaml")
    write(tmp_path, "version: 1\nroles: {scout: {model: b}}\npeers: {x: {model: 2}, y: {model: 2}}\n", "p/2.yaml")

    layout = load(tmp_path, "version: 1\ninclude: [p/1.yaml, p/2.yaml]\npeers: {y: {model: 3}}\n")

    assert {peer.name: peer.model for peer in layout.peers} == {"s": "b", "x": "2", "y": "3"}


def test_included_file_may_not_say_everything(tmp_path: Path) -> None:
    """What belongs to the team itself is refused in an included file, at its place there."""
    write(tmp_path, "version: 1\nsupervisor: a\npeers: {a: }\n", "common.yaml")

    with pytest.raises(LayoutError, match=r"common.yaml:2:1: supervisor: cannot stand in an included file"):
        load(tmp_path, "version: 1\ninclude: common.yaml\n")


def test_circle_is_told_with_its_chain(tmp_path: Path) -> None:
    """Files that extend each other are refused, with the way around."""
    write(tmp_path, "version: 1\nextends: ./b.yaml\n", "a.yaml")
    write(tmp_path, "version: 1\nextends: ./a.yaml\n", "b.yaml")

    with pytest.raises(LayoutError, match=r"comes back to itself: \S*a.yaml -> \S*b.yaml -> \S*a.yaml"):
        load(tmp_path, "version: 1\nextends: ./a.yaml\npeers: {x: }\n")


def test_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    """Each with its own file, those of the layout itself first."""
    write(tmp_path, "version: 1\npeers: {a: {rol: x}}\n", "base.yaml")

    with pytest.raises(LayoutError) as raised:
        load(tmp_path, "version: 1\nextends: base.yaml\npeers: {b: {rol: x}}\n")

    assert [problem["path"] for problem in raised.value.fields["problems"]] == [
        str(tmp_path / "team.yaml"),
        str(tmp_path / "base.yaml"),
    ]


def test_variables_of_all_files_count(tmp_path: Path) -> None:
    """A --var may be used in the base alone, and what the base requires is required."""
    write(tmp_path, 'version: 1\npeers: {a: {model: "${m}"}}\n', "base.yaml")
    text = "version: 1\nextends: base.yaml\n"

    assert load(tmp_path, text, {"m": "x"}).peers[0].model == "x"
    assert required_variables(tmp_path / "team.yaml") == ["m"]


TREES = st.recursive(
    st.text("ab", max_size=2), lambda inner: st.dictionaries(st.sampled_from("pqr"), inner, max_size=3), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


def node(tree: object, path: Path) -> Scalar | Mapping:
    source = Source(path, "")
    if isinstance(tree, dict):
        return Mapping(source.mark(0), {key: Entry(source.mark(0), node(value, path)) for key, value in tree.items()})
    return Scalar(source, 0, 0, str(tree), "text")


def plain(tree: object) -> object:
    if isinstance(tree, Mapping):
        return {key: plain(entry.value) for key, entry in tree.entries.items()}
    assert isinstance(tree, Scalar)
    return tree.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES, TREES)
def test_merging_laws(a: object, b: object) -> None:
    """Nothing is lost that is not replaced: merging with itself or with nothing changes nothing, and b's values win."""
    one, two, empty = (node(tree, Path("x")) for tree in (a, b, {}))
    assert isinstance(one, Mapping)
    assert isinstance(two, Mapping)
    assert isinstance(empty, Mapping)
    both = plain(merge(one, two))
    assert plain(merge(one, one)) == a
    assert plain(merge(one, empty)) == plain(merge(empty, one)) == a
    assert isinstance(both, dict)
    assert isinstance(a, dict)
    assert isinstance(b, dict)
    assert set(both) == set(a) | set(b)
    assert all(both[key] == b[key] for key in b if not isinstance(b[key], dict))
    assert plain(merge(merge(one, two), two)) == both
