"""What every multiplexer promises: all of it on the in-memory one, on each tmux that is there, and on the stand-ins of
the newest cmux and psmux; on those of older ones, what differs there. `build_tmux.sh` brings more versions of tmux."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from intercom_mux.errors import MultiplexerError
from intercom_mux.layout.model import ARRANGEMENTS, Arrangement, Leaf, Split, Window
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.mux.cmux import CmuxMultiplexer
from intercom_mux.mux.memory import MemoryMultiplexer
from intercom_mux.mux.psmux import PsmuxMultiplexer
from tests.mux.cmux_standin.profiles import PROFILES
from tests.mux.conftest import OTHER_TMUXES, TMUX_DIR_VARIABLE
from tests.mux.psmux_standin.psmux import NEWEST
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.mux.base import Multiplexer, SurfaceState

*OLDER_CMUX, NEWEST_CMUX = (f"cmux {version}" for version in PROFILES)
KINDS = ("memory", "tmux", *(f"tmux {version}" for version in OTHER_TMUXES), NEWEST_CMUX, f"psmux {NEWEST}")
OLDER = (*OLDER_CMUX, "psmux 3.3.8")
EVERY_VERSION = pytest.mark.parametrize("mux", [*KINDS, *OLDER], indirect=True)
"""For what depends on how a version starts programs, names surfaces, types and ends."""
OPENINGS = pytest.mark.parametrize(
    ("mux", "arrange"),
    [
        *((kind, arrange) for kind in KINDS for arrange in ARRANGEMENTS),
        *((kind, arrange) for kind in OLDER for arrange in ("main-left", "windows")),
    ],
    indirect=["mux"],
)


@pytest.fixture(params=KINDS)
def mux(request: pytest.FixtureRequest) -> Multiplexer:
    """A multiplexer of each kind, not started."""
    program, _, version = request.param.partition(" ")
    if program == "memory":
        return MemoryMultiplexer()
    if program == "cmux":
        standin = request.getfixturevalue("new_cmux")(version)
        return CmuxMultiplexer(standin.socket.with_name("surfaces"), standin.socket)
    if program == "psmux":
        request.getfixturevalue("new_psmux")(version)
        return PsmuxMultiplexer(request.getfixturevalue("home") / "surfaces", "imux-team")
    found: Multiplexer = request.getfixturevalue("new_tmux")(OTHER_TMUXES.get(version))
    return found


def cat(name: str, home: Path) -> SurfaceSpec:
    """A surface whose program echoes."""
    return SurfaceSpec(name, ("cat",), home)


def one(mux: Multiplexer, surface: str) -> SurfaceState:
    states = mux.states()
    assert states is not None
    return states[surface]


@pytest.mark.skipif(bool(OTHER_TMUXES), reason="others are there")
def test_only_the_installed_tmux_is_there() -> None:
    """Said, so that nobody takes a run on one tmux for a run on all."""
    pytest.skip(f"only the installed tmux is run; for others: sh tests/mux/build_tmux.sh DIR, {TMUX_DIR_VARIABLE}=DIR")


@OPENINGS
def test_open_returns_the_names_in_order_and_every_surface_lives(mux: Multiplexer, home: Path, arrange: str) -> None:
    """Opening three peers gives three surfaces, in the order given, alive, each known by its name."""
    names = ["zoe", "adam", "mia.2"]
    opened = mux.open("team", arrange, [cat(name, home) for name in names])
    states = mux.states()
    assert states is not None
    assert list(opened) == names
    assert {surface: state.name for surface, state in states.items()} == {opened[name]: name for name in names}
    assert all(not state.is_dead and state.exit_status is None and state.pid > 0 for state in states.values())


@OPENINGS
def test_a_second_open_adds_and_keeps_what_runs(mux: Multiplexer, home: Path, arrange: str) -> None:
    """Surfaces opened first keep id and process when others join."""
    first = mux.open("team", arrange, [cat("a", home), cat("b", home)])
    before = mux.states()
    second = mux.open("team", arrange, [cat("c", home), cat("d", home)])
    after = mux.states()
    assert before is not None
    assert after is not None
    assert set(after) == {*first.values(), *second.values()}
    assert len(after) == 4
    assert {key: after[key].pid for key in before} == {key: state.pid for key, state in before.items()}


def test_a_tree_opens_and_takes_in_who_has_no_place(mux: Multiplexer, home: Path) -> None:
    """Columns and rows in two windows give every peer its surface, in the order of the specs; one more peer joins."""
    columns = Split("columns", (Leaf("b"), Split("rows", (Leaf("c"), Leaf("a")), (None, None))), ("60%", None))
    tree = Arrangement((Window("main", columns), Window("more", Leaf("d"))), focus="c")
    opened = mux.open("team", tree, [cat(name, home) for name in "abcd"])
    opened |= mux.open("team", tree, [cat("e", home)])
    assert list(opened) == list("abcde")
    assert {key: state.name for key, state in (mux.states() or {}).items()} == {opened[name]: name for name in "abcde"}


def test_opening_nothing_starts_nothing(mux: Multiplexer) -> None:
    """An empty team has no server."""
    assert mux.open("team", "main-left", []) == {}
    assert mux.states() is None


def test_a_missing_directory_opens_nothing(mux: Multiplexer, home: Path) -> None:
    """One impossible peer fails the whole call, before anything starts."""
    with pytest.raises(MultiplexerError, match="no such directory"):
        mux.open("team", "tiled", [cat("a", home), cat("b", home / "missing")])
    assert not mux.states()


@EVERY_VERSION
def test_no_server_is_not_an_empty_one(mux: Multiplexer, home: Path) -> None:
    """`states` is None before the first open and after shutdown, and empty when the last surface was closed."""
    assert mux.states() is None
    assert mux.server_pid() is None
    opened = mux.open("team", "tiled", [cat("a", home)])
    assert (mux.server_pid() is not None) == mux.owns_server
    mux.close(opened["a"])
    assert mux.states() == {}
    assert (mux.server_pid() is not None) == mux.owns_server
    mux.shutdown()
    assert mux.states() is None
    assert mux.server_pid() is None


@EVERY_VERSION
def test_surfaces_can_be_opened_on_an_emptied_server(mux: Multiplexer, home: Path) -> None:
    """After the last surface was closed the server takes new ones."""
    mux.close(mux.open("team", "main-left", [cat("a", home)])["a"])
    opened = mux.open("team", "main-left", [cat("b", home), cat("c", home)])
    assert set(mux.states() or ()) == set(opened.values())


@EVERY_VERSION
def test_paste_then_enter_reaches_the_program(mux: Multiplexer, home: Path) -> None:
    """Pasted text stands on the screen, in one surface only; paste alone presses nothing."""
    opened = mux.open("team", "columns", [cat("a", home), cat("b", home)])
    mux.paste(opened["a"], "first\r\nsecond; ünï 漢")
    wait_until(lambda: "second; ünï 漢" in mux.capture(opened["a"]), what="pasted text")
    mux.press_enter(opened["a"])
    # The one in memory runs no program, which repeats its line.
    times = 1 if isinstance(mux, MemoryMultiplexer) else 2
    wait_until(lambda: mux.capture(opened["a"]).count("second; ünï 漢") == times, what="what the program prints")
    mux.paste(opened["a"], "third")
    wait_until(lambda: mux.capture(opened["a"]).endswith("third"), what="text after Enter")
    assert mux.capture(opened["b"]) == ""


def test_control_characters_are_not_pasted(mux: Multiplexer, home: Path) -> None:
    """Of hostile text only what can be typed arrives: no ESC, no NUL, no C1, no lone surrogate."""
    opened = mux.open("team", "tiled", [cat("a", home)])
    mux.paste(opened["a"], "a\x1b[31mb\x00c\x9bd\x03\x04\x7f\ud800e;")
    wait_until(lambda: "a[31mbcd\ufffde;" in mux.capture(opened["a"]), what="cleaned text")


@EVERY_VERSION
def test_everything_refuses_an_unknown_surface(mux: Multiplexer, home: Path) -> None:
    """Calls on a surface that is gone raise E_SURFACE_GONE and touch no other; closing it again is no error."""
    opened = mux.open("team", "tiled", [cat("a", home), cat("b", home)])
    mux.close(opened["a"])
    mux.close(opened["a"])
    for gone in (opened["a"], "", "a", "team", "%999", "{last}"):
        for call in (
            lambda surface: mux.capture(surface),
            lambda surface: mux.paste(surface, "x"),
            lambda surface: mux.press_enter(surface),
            lambda surface: mux.show(surface, "x"),
        ):
            with pytest.raises(MultiplexerError) as caught:
                call(gone)
            assert caught.value.code == "E_SURFACE_GONE"
    assert mux.capture(opened["b"]) == ""
    assert not one(mux, opened["b"]).is_dead


def test_showing_sends_nothing_to_the_program(mux: Multiplexer, home: Path) -> None:
    """A note for the watcher does not change the surface's screen."""
    opened = mux.open("team", "tiled", [cat("a", home)])
    mux.show(opened["a"], "planner asks\nyou; #(touch x) \x1b]0;y\x07")
    assert mux.capture(opened["a"]) == ""


def test_shutdown_is_idempotent(mux: Multiplexer, home: Path) -> None:
    """Ending what never ran or has ended is no error, and a new team can start afterwards."""
    mux.shutdown()
    mux.open("team", "tiled", [cat("a", home)])
    mux.shutdown()
    mux.shutdown()
    assert mux.open("team", "tiled", [cat("b", home)]).keys() == {"b"}


def test_attach_argv_is_printable(mux: Multiplexer, home: Path) -> None:
    """The command to watch survives a round through a shell line."""
    opened = mux.open("team", "tiled", [cat("a", home)])
    argv = mux.attach_argv(opened["a"])
    assert shlex.split(shlex.join(argv)) == argv
    assert mux.attach_argv()
