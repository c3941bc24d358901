"""Trees of columns and rows on real tmux servers, as a second observer sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from intercom_mux.layout.model import Arrangement, Leaf, Node, Split, Window
from intercom_mux.mux.base import SurfaceSpec
from tests.mux.conftest import ask_tmux

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.mux.tmux import TmuxMultiplexer

Place = tuple[int, int, int, int]


def split(direction: Literal["columns", "rows"], *children: Node | str, sizes: tuple[str | None, ...] = ()) -> Split:
    nodes = tuple(Leaf(child) if isinstance(child, str) else child for child in children)
    return Split(direction, nodes, sizes or (None,) * len(nodes))


def one_window(node: Node, focus: str | None = None) -> Arrangement:
    return Arrangement((Window("", node),), focus)


def specs(home: Path, names: str) -> list[SurfaceSpec]:
    return [SurfaceSpec(name, ("cat",), home) for name in names.split()]


def places(mux: TmuxMultiplexer) -> dict[str, Place]:
    """Return name → left, top, width, height of every pane."""
    lines = ask_tmux(
        mux, "list-panes", "-a", "-F", "#{@imux_peer} #{pane_left} #{pane_top} #{pane_width} #{pane_height}"
    )
    return {name: (int(a), int(b), int(c), int(d)) for name, a, b, c, d in map(str.split, lines)}


TREE = split("columns", "plan", split("rows", "w-1", "w-2", "scout", sizes=(None, None, "20%")), sizes=("60%", None))


def test_nested_columns_and_rows_get_their_sizes(tmux: TmuxMultiplexer, home: Path) -> None:
    """Each peer stands where its tree has it, 60% are 60%, and the ids come in the order of the specs."""
    opened = tmux.open("team", one_window(TREE), specs(home, "scout w-1 w-2 plan"))

    found = places(tmux)
    assert list(opened) == ["scout", "w-1", "w-2", "plan"]
    states = tmux.states()
    assert states is not None
    assert {name: states[surface].name for name, surface in opened.items()} == {name: name for name in opened}
    left, _top, width, _height = found["plan"]
    assert (left, width) == (0, 132)
    assert {found[name][0] for name in ("w-1", "w-2", "scout")} == {133}
    assert {found[name][2] for name in ("w-1", "w-2", "scout")} == {87}
    assert found["w-1"][1] < found["w-2"][1] < found["scout"][1]
    assert abs(found["scout"][3] - 10) <= 1


def test_sizes_in_cells(tmux: TmuxMultiplexer, home: Path) -> None:
    """A number is that many cells, and the rest is shared."""
    tmux.open("team", one_window(split("columns", "a", "b", "c", sizes=("30", None, None))), specs(home, "a b c"))

    found = places(tmux)
    assert found["a"][2] == 30
    assert abs(found["b"][2] - found["c"][2]) <= 1


def test_several_windows_are_named_and_the_focus_is_set(tmux: TmuxMultiplexer, home: Path) -> None:
    """Each window has its name and peers; whoever attaches first looks at the peer with the focus."""
    windows = (Window("main", split("columns", "a", "b")), Window("logs", split("rows", "c", "d")))
    tmux.open("team", Arrangement(windows, "d"), specs(home, "a b c d"))

    lines = ask_tmux(tmux, "list-panes", "-a", "-F", "#{window_name} #{@imux_peer} #{window_active}#{pane_active}")
    assert lines == ["main a 01", "main b 00", "logs c 10", "logs d 11"]


@pytest.mark.parametrize("arrange", ["tiled", "windows"])
def test_focus_of_a_word(tmux: TmuxMultiplexer, home: Path, arrange: str) -> None:
    """A word can have a focus too."""
    tmux.open("team", Arrangement(arrange, "b"), specs(home, "a b c"))

    lines = ask_tmux(tmux, "list-panes", "-a", "-F", "#{@imux_peer} #{window_active}#{pane_active}")
    assert [line.split()[0] for line in lines if line.endswith("11")] == ["b"]


def test_missing_peer_comes_back_to_its_place(tmux: TmuxMultiplexer, home: Path) -> None:
    """A peer of the tree that is opened later gets the place and size it would have had; nobody else is restarted."""
    opened = tmux.open("team", one_window(TREE), specs(home, "plan w-1 w-2 scout"))
    before = places(tmux)
    tmux.close(opened["w-1"])
    tmux.open("team", one_window(TREE), specs(home, "w-1"))

    assert places(tmux) == before
    assert list(before) == ["plan", "w-1", "w-2", "scout"]


def test_first_peer_comes_back_before_the_others(tmux: TmuxMultiplexer, home: Path) -> None:
    """A peer at the very start of the tree is put before what runs."""
    opened = tmux.open("team", one_window(TREE), specs(home, "plan w-1 w-2 scout"))
    before = places(tmux)
    tmux.close(opened["plan"])
    tmux.open("team", one_window(TREE), specs(home, "plan"))

    assert places(tmux) == before


def test_peer_without_a_place_goes_beside_its_sibling(tmux: TmuxMultiplexer, home: Path) -> None:
    """A third worker stands below the second, and the planner keeps its share."""
    tmux.open("team", one_window(TREE), specs(home, "plan w-1 w-2 scout"))
    tmux.open("team", one_window(TREE), specs(home, "w-3"))

    found = places(tmux)
    assert list(found) == ["plan", "w-1", "w-2", "w-3", "scout"]
    assert found["w-3"][0] == found["w-2"][0]
    assert found["plan"][2] == 132


def test_moved_panes_stay_where_they_were_put(tmux: TmuxMultiplexer, home: Path) -> None:
    """After somebody swapped two panes, a peer that joins splits the one before it; the others keep place and share."""
    opened = tmux.open("team", one_window(split("columns", "a", "b", "c")), specs(home, "a b c"))
    ask_tmux(tmux, "swap-pane", "-d", "-s", opened["a"], "-t", opened["b"])
    tmux.open("team", one_window(split("columns", "a", "b", "c", "d")), specs(home, "d"))

    after = places(tmux)
    assert list(after) == ["b", "a", "c", "d"]
    assert after["a"][2:] == after["b"][2:]
    assert after["d"][0] == after["c"][0]


def test_window_that_lost_all_its_peers_is_made_again(tmux: TmuxMultiplexer, home: Path) -> None:
    """A window of its own comes back under its name."""
    windows = Arrangement((Window("main", Leaf("a")), Window("logs", Leaf("b"))))
    opened = tmux.open("team", windows, specs(home, "a b"))
    tmux.close(opened["b"])
    tmux.open("team", windows, specs(home, "b"))

    assert ask_tmux(tmux, "list-windows", "-a", "-F", "#{window_name}") == ["main", "logs"]


def test_a_large_tree_fits(tmux: TmuxMultiplexer, home: Path) -> None:
    """Forty peers in a tree of five columns have room to work."""
    names = [f"p{number}" for number in range(40)]
    tree = split("columns", *(split("rows", *names[start : start + 8]) for start in range(0, 40, 8)))
    tmux.open("team", one_window(tree), specs(home, " ".join(names)))

    assert all(width >= 80 and height >= 11 for _left, _top, width, height in places(tmux).values())
