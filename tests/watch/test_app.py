"""The board under textual's own driver, with a feed made by hand."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from textual import events
from textual.widgets import Input, OptionList, Static

from intercom_mux.supervise.answer import read
from intercom_mux.supervise.contact import INTERVIEW
from intercom_mux.supervise.interview import read_reply, read_request, render
from intercom_mux.watch.app import Board
from intercom_mux.watch.dialogs import Keys, Writing
from intercom_mux.watch.lists import Lines, Peers
from tests.watch.views import HandFeed, message, session, snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.pilot import Pilot

    from intercom_mux.supervise.answer import Pending

    Steps = Callable[[Pilot[None], Board, HandFeed], Awaitable[None]]


def drive(steps: Steps, size: tuple[int, int] = (100, 30)) -> HandFeed:
    """Run the board through `steps`, over a first look at two peers."""
    feed = HandFeed()

    async def main() -> None:
        board = Board(feed, "crew")
        async with board.run_test(size=size) as pilot:
            feed.show(snapshot())
            await until(pilot, lambda: len(board.query_one(Peers).rows) == 2)
            await steps(pilot, board, feed)
        board.wait(5)

    asyncio.run(main())
    return feed


async def until(pilot: Pilot[None], is_so: Callable[[], object]) -> None:
    """Let the board run until something is so."""
    for _ in range(500):
        if is_so():
            return
        await pilot.pause(0.01)
    raise AssertionError("it did not come about")


def shown(board: Board, name: str) -> str:
    """Return the text of one of the board's parts."""
    if name == "head":
        return str(board.query_one("#head", Static).render())
    return board.query_one(f"#{name}", Lines).text


def is_writing(board: Board) -> bool:
    """Whether keys go to a line or a field."""
    return isinstance(board.focused, (Input, Writing))


async def type_line(pilot: Pilot[None], board: Board, key: str, text: str) -> None:
    """Press a key and write what it asks for."""
    await pilot.press(key)
    await until(pilot, lambda: is_writing(board))
    await pilot.press(*text, "enter")
    await until(pilot, lambda: not is_writing(board))


async def confirm(pilot: Pilot[None], board: Board, key: str, title: str) -> None:
    """Press a key that asks whether we are sure, and say yes."""
    await pilot.press(key)
    await reach(pilot, board, title)
    await pilot.press("y")
    await until(pilot, lambda: not board.screen.query("#box"))


def test_what_comes_while_the_board_ends_is_not_shown() -> None:
    """Its widgets go first; a timer, a look and a picture that come then are no fault."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        await pilot.press("2")
        leaving = board.screen_stack[0].query_one(Peers)
        board._running = False
        await board.screen_stack[0].remove_children()
        for event in (Board.Seen(snapshot(3)), Board.Lost("it is away"), Board.Captured("worker-1", "x")):
            board.post_message(event)
        board.post_message(Peers.Chosen())
        await until(pilot, lambda: not leaving.is_attached)
        board._preview()

    drive(steps)


def test_nothing_is_done_before_a_person_says_so() -> None:
    """Looking around, choosing, filtering and leaving a dialog send nothing."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        await pilot.press("down", "tab", "tab", "d", "2", "3", "1")
        await pilot.press("s", "h", "i", "escape", "x", "n", "a")
        await pilot.pause()

    assert drive(steps).done == []


def test_send_ask_and_kill_mean_the_chosen_peer() -> None:
    """The keys ask for the text, and kill asks first."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        await type_line(pilot, board, "s", "hi")
        await pilot.press("down")
        await type_line(pilot, board, "k", "why")
        await confirm(pilot, board, "x", "kill")
        await confirm(pilot, board, "r", "restart")
        await until(pilot, lambda: len(feed.done) == 4)

    done = [("send", "worker-1", "hi"), ("ask", "worker-2", "why"), ("kill", "worker-2"), ("restart", "worker-2")]
    assert sorted(drive(steps).done) == sorted(done)


@pytest.mark.parametrize("key", ["?", "q", "escape", "enter"])
def test_the_help_goes_by_the_key_that_brought_it(key: str) -> None:
    """And by what else closes a thing; the board stays."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        await pilot.press("?")
        await until(pilot, lambda: isinstance(board.screen, Keys))
        await pilot.press(key)
        await until(pilot, lambda: len(board.screen_stack) == 1)
        assert board.is_running

    drive(steps)


@pytest.mark.parametrize("key", ["s", "/"])
def test_keys_that_come_at_once_keep_their_order(key: str) -> None:
    """As from a slow line or a fast typist: a correction is not overtaken by the letters after it."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        await pilot.press(key)
        await until(pilot, lambda: isinstance(board.focused, (Input, Writing)))
        for name in ("x", "y", "left", "backspace", "backspace", "z", "ctrl+e", "a"):
            board.post_message(events.Key(name, name if len(name) == 1 else None))
        writing = board.focused
        await until(pilot, lambda: len(written(writing)) == 3)
        assert written(writing) == "zya"
        await pilot.press("escape")

    drive(steps)


def written(widget: object) -> str:
    assert isinstance(widget, (Input, Writing))
    return widget.value if isinstance(widget, Input) else widget.text


def test_one_of_several_asks_is_answered() -> None:
    """The list of what waits is opened, and the reply names the ask that was picked."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        feed.asks = [read(key, "worker-1", f"{key}?") for key in "ab"]
        feed.show(replace(snapshot(), to_me=[{}, {}]))
        await until(pilot, lambda: "2 to answer" in shown(board, "head"))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(board.focused, OptionList))
        await pilot.press("down", "enter")
        await until(pilot, lambda: is_writing(board))
        await pilot.press("y", "e", "s", "enter")
        await until(pilot, lambda: feed.done)

    assert drive(steps).done == [("reply", "b", "yes")]


def test_a_lost_broker_is_shown_until_it_is_back() -> None:
    """What stands there stays, under a line that says that it is old."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        feed.lose("the broker does not answer")
        await until(pilot, lambda: "DISCONNECTED: the broker does not answer" in shown(board, "head"))
        assert len(board.query_one(Peers).rows) == 2
        feed.show(snapshot())
        await until(pilot, lambda: shown(board, "head").startswith("crew  2 peers"))

    drive(steps)


def test_the_board_goes_on_behind_a_dialog() -> None:
    """A look and a lost broker while a line is written change what stands behind it, and the line stays."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        await pilot.press("2", "s")
        await until(pilot, lambda: is_writing(board))
        await pilot.press("h")
        feed.show(snapshot(3))
        feed.lose("it is away")
        head = board.screen_stack[0].query_one("#head", Static)
        await until(pilot, lambda: "it is away" in str(head.render()))
        await pilot.press("i", "enter")
        await until(pilot, lambda: feed.done)
        assert len(board.query_one(Peers).rows) == 3

    assert drive(steps).done == [("send", "worker-1", "hi")]


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
def test_small_terminals_stay_usable(size: tuple[int, int]) -> None:
    """Peers, at least five lines of messages, and the keys are on the screen; texts of peers are no markup."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        feed.show(snapshot(40, messages=[message(str(n), "worker-1", "worker-2", f"[red]{n}") for n in range(50)]))
        await until(pilot, lambda: "[red]49" in shown(board, "messages-text"))
        assert len(board.query_one(Peers).rows) == 40
        # Rows and text are there before they are laid out.
        await until(pilot, lambda: board.query_one(Peers).size.height >= 6)
        assert board.query_one("#messages-text").size.height >= 5
        await pilot.press("2")
        await until(pilot, lambda: "screen of worker-1 [bold]" in shown(board, "screen-text"))

    drive(steps, size)


def test_a_change_of_one_status_keeps_table_and_cursor() -> None:
    """The cell is written in place; a new peer does not move the cursor from the chosen one."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        await pilot.press("down")
        feed.show(replace(snapshot(), sessions=[session("worker-1", "thinking"), session("worker-2")]))
        await until(pilot, lambda: board.query_one(Peers).rows["worker-1"][1][0] == "● thinking")
        assert board.chosen == "worker-2"
        feed.show(snapshot(3))
        await until(pilot, lambda: len(board.query_one(Peers).rows) == 3)
        assert board.chosen == "worker-2"

    drive(steps)


def test_filter_and_theme() -> None:
    """`/` keeps what has the text in it, and `d` turns light."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        await type_line(pilot, board, "slash", "ker-2")
        await until(pilot, lambda: len(board.query_one(Peers).rows) == 1)
        assert board.chosen == "worker-2"
        await pilot.press("d")
        assert board.theme == "textual-light"

    drive(steps)


QUESTIONS = [
    {"id": "db", "type": "single", "question": "Which store?", "options": ["sqlite", "postgres"]},
    {"id": "os", "type": "multi", "question": "Where does it run?", "options": ["linux", "macos", "windows"]},
    {"id": "note", "type": "info", "question": "The rest is free text."},
    {"id": "name", "type": "text", "question": "What is it called?"},
    {"id": "look", "type": "image", "question": "How does it look?"},
]


def interview() -> Pending:
    """Return an interview of every kind of question, as it comes over the wire."""
    body = render(read_request({"title": "Setup", "questions": QUESTIONS}))
    return read("i1", "worker-1", f"{INTERVIEW}\nRun: r\nAgent: worker-1\nChild index: 1\n\n{body}")


async def reach(pilot: Pilot[None], board: Board, title: str) -> None:
    """Wait for a dialog by what stands on its frame."""
    await until(pilot, lambda: any(title in str(box.border_title) for box in board.screen.query("#box")))
    await pilot.pause()


def test_an_interview_is_answered_question_by_question() -> None:
    """Each kind is put on a screen of its own, one is skipped, and the reply holds what was chosen and written."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        feed.asks = [interview()]
        await pilot.press("a")
        await reach(pilot, board, "Setup · 1 of 5")
        await pilot.press("down", "enter")
        await reach(pilot, board, "Setup · 2 of 5")
        await pilot.press("space", "down", "down", "space", "enter")
        await reach(pilot, board, "Setup · 3 of 5")
        await pilot.press("enter")
        await reach(pilot, board, "Setup · 4 of 5")
        await pilot.press("o", "n", "e", "ctrl+j", "t", "w", "o", "enter")
        await reach(pilot, board, "Setup · 5 of 5")
        await pilot.press("enter")
        await reach(pilot, board, "your answers")
        await pilot.press("enter")
        await until(pilot, lambda: feed.done)

    ((verb, key, text),) = drive(steps).done
    assert (verb, key) == ("reply", "i1")
    asked = interview().interview
    assert asked is not None
    found = read_reply(asked, text)
    assert found is not None
    assert found.problems == ()
    values = {row["id"]: row["value"] for row in found.responses}
    assert values == {"db": "postgres", "os": ["linux", "windows"], "name": "one\ntwo"}


def test_an_interview_that_was_left_sends_nothing() -> None:
    """Escape at any question drops it; so does skipping all of them."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        feed.asks = [interview()]
        await pilot.press("a")
        await reach(pilot, board, "Setup · 1 of 5")
        await pilot.press("enter")
        await reach(pilot, board, "Setup · 2 of 5")
        await pilot.press("escape")
        await until(pilot, lambda: not board.screen.query("#box"))
        await pilot.press("a")
        for number, key in enumerate(("s", "enter", "enter", "enter", "enter"), start=1):
            await reach(pilot, board, f"Setup · {number} of 5")
            await pilot.press(key)
        await until(pilot, lambda: not board.screen.query("#box"))

    assert drive(steps).done == []


def test_a_changed_status_draws_its_row_alone() -> None:
    """Of 40 peers of which one becomes busy one row is drawn."""

    async def steps(pilot: Pilot[None], board: Board, feed: HandFeed) -> None:
        feed.show(snapshot(40))
        peers = board.query_one(Peers)
        await until(pilot, lambda: len(peers.rows) == 40)
        # The widest status stays as wide, so that no column moves.
        wide = [session(f"worker-{n}", "idle" if n > 1 else "thinking") for n in range(1, 41)]
        feed.show(replace(snapshot(40), sessions=wide))
        await until(pilot, lambda: peers.rows["worker-1"][1][0] == "● thinking")
        await pilot.pause(0.1)
        before = peers.drawn
        wide[2] = session("worker-3", "thinking")
        feed.show(replace(snapshot(40), sessions=wide))
        await until(pilot, lambda: peers.drawn > before)
        await pilot.pause(0.1)
        assert peers.drawn == before + 1

    drive(steps)
