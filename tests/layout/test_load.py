"""What valid layouts load to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from intercom_mux.errors import LayoutError
from intercom_mux.layout.find import Found, bundled_layouts
from intercom_mux.layout.load import describe, load_layout, required_variables
from tests.layout.support import ENVIRON, load, write

PLANNER_WORKER = """\
version: 1
name: shop
description: Two of them
vars: {repo: services, model: sonnet}
mux: tmux
arrange: tiled
supervisor: planner
scope: isolated
defaults:
  agent: demo
  cwd: ${repo}
  env: {LEVEL: 1, MODEL: "${model}"}
peers:
  planner: {role: lead, prompt: {file: prompts/planner.md}}
  worker: {role: worker, count: 2, model: "${model}-4.10", env: {LEVEL: 2}, trust: true}
  reference-auth: {role: scout, reference: ../auth-service, agent: claude}
  shell: {command: "sh -c 'echo ready; cat'", cwd: ~/notes}
"""


def test_every_key_arrives(tmp_path: Path) -> None:
    """A layout that uses every key loads to what it says, defaults filled in and variables replaced."""
    project = tmp_path / "shop"
    write(project, "Plan well ${repo}\n", "prompts/planner.md")

    layout = load(project, PLANNER_WORKER)

    planner, worker, worker_2, auth, shell = layout.peers
    assert (layout.name, layout.mux, layout.arrange.kind, layout.supervisor) == ("shop", "tmux", "tiled", "planner")
    assert layout.isolated
    assert layout.project == project
    assert [peer.name for peer in layout.peers] == ["planner", "worker-1", "worker-2", "reference-auth", "shell"]
    assert (planner.role, planner.agent, planner.prompt) == ("lead", "demo", "Plan well ${repo}\n")
    assert (planner.cwd, planner.env) == (project / "services", {"LEVEL": "1", "MODEL": "sonnet"})
    assert (worker.model, worker.env, worker.trust) == ("sonnet-4.10", {"LEVEL": "2", "MODEL": "sonnet"}, True)
    assert (worker.mark.line, worker.mark.column) == (worker_2.mark.line, worker_2.mark.column) == (15, 3)
    assert (auth.cwd, auth.is_reference, auth.agent) == (tmp_path / "auth-service", True, "claude")
    assert (shell.agent, shell.command) == (None, ("sh", "-c", "echo ready; cat"))
    assert shell.cwd == Path("/home/ada/notes")


def test_smallest_layout(tmp_path: Path) -> None:
    """A version and one peer are enough; the rest has defaults."""
    layout = load(tmp_path, "version: 1\npeers: {planner: }\n")

    (planner,) = layout.peers
    assert (layout.name, layout.mux, layout.arrange.kind, layout.supervisor) == ("team", "auto", "main-left", None)
    assert not layout.isolated
    assert (planner.name, planner.role, planner.agent, planner.cwd) == ("planner", "planner", "auto", tmp_path)
    assert (planner.prompt, planner.model, planner.command, dict(planner.env)) == (None, None, None, {})


def test_count_of_one_keeps_the_name(tmp_path: Path) -> None:
    """`count: 1` names the peer as the entry is named."""
    assert [peer.name for peer in load(tmp_path, "version: 1\npeers: {w: {count: 1}}\n").peers] == ["w"]


def test_empty_mappings_are_allowed(tmp_path: Path) -> None:
    """`vars:` and `env:` with everything commented out read as empty."""
    layout = load(tmp_path, "version: 1\nvars:\ndefaults:\npeers:\n  a:\n    env:\n")

    assert dict(layout.peers[0].env) == {}


def test_anchors_share_values(tmp_path: Path) -> None:
    """An alias stands for what its anchor names."""
    text = "version: 1\npeers:\n  a: &peer {role: scout, env: {X: 1}}\n  b: *peer\n"

    a, b = load(tmp_path, text).peers

    assert (a.role, a.env) == (b.role, b.env) == ("scout", {"X": "1"})


def test_command_as_a_list_is_taken_word_by_word(tmp_path: Path) -> None:
    """A list is argv as it stands, and numbers in it are text."""
    (peer,) = load(tmp_path, "version: 1\npeers: {a: {command: [sleep, 010, 'a b']}}\n").peers

    assert peer.command == ("sleep", "010", "a b")


def test_value_in_a_command_string_stays_one_word(tmp_path: Path) -> None:
    """A command string is split before its variables are replaced."""
    text = "version: 1\npeers: {a: {command: \"open ${file} '${file}'\"}}\n"

    (peer,) = load(tmp_path, text, {"file": "my notes; rm x"}).peers

    assert peer.command == ("open", "my notes; rm x", "my notes; rm x")


def test_empty_prompt_takes_a_default_prompt_away(tmp_path: Path) -> None:
    """A peer opts out of the default prompt with an empty one."""
    text = "version: 1\ndefaults: {prompt: hello}\npeers: {a: , b: {prompt: ''}}\n"

    assert [peer.prompt for peer in load(tmp_path, text).peers] == ["hello", None]


def test_untrusted_peer_among_trusted(tmp_path: Path) -> None:
    """`trust: false` of a peer is stronger than the default."""
    text = "version: 1\ndefaults: {trust: yes}\npeers: {a: , b: {trust: no}}\n"

    assert [peer.trust for peer in load(tmp_path, text).peers] == [True, False]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (".", "/p/shop"),
        ("../auth", "/p/auth"),
        ("a/../b/.", "/p/shop/b"),
        ("/opt/x/", "/opt/x"),
        ("'~'", "/home/ada"),
        ("~/x", "/home/ada/x"),
        ("~root/x", os.path.expanduser("~root/x")),
        ("./~x", "/p/shop/~x"),
    ],
)
def test_directories_start_from_the_project(tmp_path: Path, written: str, expected: str) -> None:
    """A relative directory is below the project, wherever the file lies and whoever calls."""
    found = write(tmp_path, f"version: 1\npeers: {{a: {{cwd: {written}}}}}\n")

    layout = load_layout(Found(found.path, Path("/p/shop"), "user"), environ=ENVIRON)

    assert layout.peers[0].cwd == Path(expected)


def test_precedence_of_variables(tmp_path: Path) -> None:
    """--var is stronger than vars, vars is stronger than the environment, and vars may use what comes before."""
    text = 'version: 1\nvars: {b: vars, c: "${b}+${a}"}\npeers: {p: {env: {A: "${a}", B: "${b}", C: "${c}"}}}\n'
    environ = {"a": "env", "b": "env"}

    unchanged = load(tmp_path, text, environ=environ)
    given = load(tmp_path, text, {"b": "var", "a": "var"}, environ)

    assert unchanged.peers[0].env == {"A": "env", "B": "vars", "C": "vars+env"}
    assert given.peers[0].env == {"A": "var", "B": "var", "C": "var+var"}


def test_given_variable_spares_its_definition(tmp_path: Path) -> None:
    """What --var gives is not evaluated in vars, so that it need not be evaluable."""
    text = 'version: 1\nvars: {dir: "${UNSET}"}\npeers: {p: {cwd: "${dir}"}}\n'

    assert load(tmp_path, text, {"dir": "/x"}).peers[0].cwd == Path("/x")


def test_variable_that_nothing_uses_is_a_problem(tmp_path: Path) -> None:
    """A misspelt --var is told, with the name that was meant."""
    text = "version: 1\npeers: {w: {count: '${workers:-2}'}}\n"

    with pytest.raises(LayoutError, match=r'--var wokers: no such variable here \(did you mean "workers"\?\)'):
        load(tmp_path, text, {"wokers": "3"})


def test_count_may_be_a_variable(tmp_path: Path) -> None:
    """A number may come out of a variable."""
    text = "version: 1\npeers:\n  w: {count: '${n:-2}'}\n"

    assert len(load(tmp_path, text).peers) == 2
    assert len(load(tmp_path, text, {"n": "7"}).peers) == 7


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    """Files from Windows load, and places in them are right."""
    text = b"\xef\xbb\xbfversion: 1\r\npeers:\r\n  a: {role: x}\r\n"

    assert load(tmp_path, text).peers[0].mark.line == 3


def test_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    """A pipe nobody writes to does not hang the loader."""
    os.mkfifo(tmp_path / "team.yaml")

    with pytest.raises(LayoutError, match="is not a regular file"):
        load_layout(Found(tmp_path / "team.yaml", tmp_path, "path"), environ={})


def test_unreadable_files_are_told(tmp_path: Path) -> None:
    """A directory, a dangling link and an oversized file are each refused by name."""
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    (tmp_path / "big.yaml").write_text("#" * 300_000)
    for name, reason in ((".", "is a directory"), ("gone.yaml", "no such file"), ("big.yaml", "is larger than")):
        with pytest.raises(LayoutError, match=reason) as raised:
            load_layout(Found(tmp_path / name, tmp_path, "path"), environ={})
        assert raised.value.hint


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_forbidden_file_is_told(tmp_path: Path) -> None:
    """A file without read permission is a layout error."""
    found = write(tmp_path, "version: 1\n")
    found.path.chmod(stat.S_IWUSR)

    with pytest.raises(LayoutError, match="permission denied"):
        load_layout(found, environ={})


def test_many_problems_are_counted_but_not_all_listed(tmp_path: Path) -> None:
    """Of a thousand problems the first fifty are listed."""
    text = "version: 1\n" + "".join(f"key{number}: x\n" for number in range(1000)) + "peers: {a: }\n"

    with pytest.raises(LayoutError) as raised:
        load(tmp_path, text)

    assert raised.value.message.startswith(f"{tmp_path}/team.yaml: 1000 problems\n")
    assert raised.value.message.endswith("\n… and 950 more")
    assert len(raised.value.fields["problems"]) == 50


def test_values_of_a_file_are_bounded_together(tmp_path: Path) -> None:
    """Many long values that are each allowed do not add up without end."""
    text = "version: 1\nvars:\n  big: " + "x" * 50_000 + "\npeers:\n"
    text += "".join(f"  p{number}: {{prompt: '${{big}}'}}\n" for number in range(90))

    with pytest.raises(LayoutError, match="come to more than 2000000 characters"):
        load(tmp_path, text)


@pytest.mark.parametrize("name", sorted(bundled_layouts()))
def test_bundled_layouts_load_in_any_project(name: str, tmp_path: Path) -> None:
    """Each loads as it stands, with the variables it requires, is described, and gives every peer a prompt."""
    path = bundled_layouts()[name]
    variables = dict.fromkeys(required_variables(path), "..")

    layout = load_layout(Found(path, tmp_path, "bundled"), variables=variables, environ={})

    assert layout.name == name
    assert describe(path)
    assert {peer.agent for peer in layout.peers} == {"auto"}
    assert all("`intercom-mux reply " in str(peer.prompt) for peer in layout.peers)
    supervisor = [peer for peer in layout.peers if peer.name == layout.supervisor]
    assert all("\nTasks:\n- " in str(peer.prompt) for peer in supervisor)


def test_planner_worker_has_the_promised_peers(tmp_path: Path) -> None:
    """The bundled planner-worker is the team of the README."""
    layout = load_layout(Found(bundled_layouts()["planner-worker"], tmp_path, "bundled"), environ={})

    assert [peer.name for peer in layout.peers] == ["planner", "worker-1", "worker-2", "reference-auth"]
    assert [peer.is_reference for peer in layout.peers] == [False, False, False, True]
    assert layout.peers[3].cwd == tmp_path


def test_required_variables_are_those_without_a_value(tmp_path: Path) -> None:
    """Variables with a default or set under vars are not required, nor is an escaped one."""
    text = 'version: 1\nvars: {a: 1}\npeers: {p: {env: {A: "${a}", B: "${b:-2}", C: "${c}${d}${c}", D: "$${e}"}}}\n'

    assert required_variables(write(tmp_path, text).path) == ["c", "d"]


def test_describe_never_fails(tmp_path: Path) -> None:
    """A file without description, a broken one and an absent one have none; a folded one is one line."""
    assert describe(write(tmp_path, "version: 1\n").path) == ""
    assert describe(write(tmp_path, "a: [").path) == ""
    assert describe(tmp_path / "absent.yaml") == ""
    assert describe(write(tmp_path, "description: >\n  two\n  lines\nfaulty: x\n").path) == "two lines"
    assert describe(write(tmp_path, 'description: "\\e[31mred"').path) == "[31mred"
