"""The board as a textual application: shows what the model makes of each look, and does what a key says."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import App, SuspendNotSupported
from textual.binding import Binding
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import Footer, Static, TabbedContent, TabPane

from intercom_mux.errors import IntercomError
from intercom_mux.supervise.answer import reply
from intercom_mux.watch import feed as feeds
from intercom_mux.watch import model
from intercom_mux.watch.answering import answers
from intercom_mux.watch.dialogs import Choice, Keys, Line, Reading, Sure, Words
from intercom_mux.watch.lists import Lines, Peers
from intercom_mux.watch.words import EMPTY, FILTERED, HELP

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.screen import Screen

    from intercom_mux.watch.model import Snapshot, Span
    from intercom_mux.watch.source import Source

Json = dict[str, Any]

PREVIEW_S = 1.0
_TONES = {
    "good": "$text-success",
    "busy": "$text-warning",
    "bad": "bold $text-error",
    "alert": "bold #000000 on $warning",
    "strong": "bold",
}


class Board(App[None]):
    """Watches one team until it is quit; reads through `source` on a thread of its own."""

    TITLE = "intercom-mux"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (160, "-wide")]  # noqa: RUF012 # textual types it so
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-middling"), (24, "-high")]  # noqa: RUF012
    CSS = """
    #head { height: 1; background: $panel; color: $foreground; padding: 0 1; }
    #head.lost { background: $error; color: $text; }
    #parts { height: 1fr; }
    Peers { height: auto; max-height: 45%; background: $background; }
    TabbedContent { height: 1fr; }
    .-high TabbedContent { margin-top: 1; }
    TabPane { padding: 0; }
    Lines { height: 1fr; padding: 0 1; background: $background; }
    .-low Tabs { display: none; }
    .-low Peers { max-height: 60%; }
    .-wide #parts { layout: horizontal; }
    .-wide Peers { width: 45%; height: 1fr; max-height: 100%; border-right: vkey $panel; }
    .-wide TabbedContent { width: 1fr; height: 1fr; margin: 0; }
    Toast { max-width: 70; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("a", "answer", "Answer"),
        Binding("s", "send", "Send"),
        Binding("k", "ask", "Ask"),
        Binding("i", "inbox", "Inbox"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("r", "restart", "Restart"),
        Binding("x", "kill", "Kill"),
        Binding("q", "quit", "Quit"),
        Binding("f", "only", "This peer", show=False),
        Binding("escape", "all", "All", show=False),
        Binding("d", "dark", "Dark", show=False),
        Binding("1", "tab('messages')", show=False),
        Binding("2", "tab('screen')", show=False),
        Binding("3", "tab('tasks')", show=False),
    ]

    class Seen(Message):
        """A look at the team."""

        def __init__(self, snapshot: Snapshot) -> None:
            super().__init__()
            self.snapshot = snapshot

    class Lost(Message):
        """There was nothing to look at."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    class Captured(Message):
        """A peer's screen."""

        def __init__(self, peer: str, text: str) -> None:
            super().__init__()
            self.peer = peer
            self.text = text

    def __init__(self, source: Source, team: str) -> None:
        super().__init__()
        self._source = source
        self._team = team
        self._seen: Snapshot | None = None
        self._wanted = ""
        self._only: str | None = None
        self._told: dict[str, object] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        with Container(id="parts"):
            yield Peers(id="peers")
            with TabbedContent(initial="messages"):
                for name in ("messages", "screen", "tasks"):
                    with TabPane(name.capitalize(), id=name):
                        yield Lines(EMPTY[name], follows=name != "tasks", wraps=name != "screen", id=f"{name}-text")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Begin to look."""
        self.theme = "textual-light" if is_light(os.environ.get("COLORFGBG", "")) else "textual-dark"
        self._head(((self._team, "strong"), ("  connecting …", "")), is_lost=False)
        self._peers.focus()
        self.set_interval(PREVIEW_S, self._preview)
        self._thread.start()

    def on_unmount(self) -> None:
        """Let the feed end."""
        self._source.stop()

    def wait(self, timeout_s: float) -> None:
        """Return when the feed's thread has ended; call it when the application has."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _watch(self) -> None:
        self._source.run(lambda seen: self._post(self.Seen(seen)), lambda why: self._post(self.Lost(why)))

    def _post(self, message: Message) -> None:
        if self.is_running:
            self.post_message(message)

    # -- showing ---------------------------------------------------------------------------------------------------

    def on_board_seen(self, event: Seen) -> None:
        """Show a look."""
        self._seen = event.snapshot
        if self.is_running:
            self._show()

    def on_board_lost(self, event: Lost) -> None:
        """Say that what stands there is old."""
        if self.is_running:
            self._head(((f"{self._team}  DISCONNECTED: {event.why} · trying again", ""),), is_lost=True)

    def _show(self) -> None:
        """Bring the widgets up to date; each draws only what differs."""
        seen = self._seen
        if seen is None:
            return
        filters = [f'"{self._wanted}"'] if self._wanted else []
        filters += [self._only] if self._only else []
        only: tuple[Span, ...] = ((f"  only {' and '.join(filters)} (Esc)", "busy"),) if filters else ()
        self._head((*model.head(seen), *only), is_lost=False)
        self._peers.show(model.rows(seen, self._wanted))
        for name, lines in (
            ("messages", model.timeline(seen, self._wanted, self._only)),
            ("tasks", model.tasks(seen, self._wanted, self._only)),
        ):
            self._lines(name).show(lines, FILTERED if filters else EMPTY[name])
        self._label("tasks", f"Tasks {model.done(seen)}".strip())

    def _head(self, spans: tuple[Span, ...], *, is_lost: bool) -> None:
        if self._told.get("head") != (spans, is_lost):
            self._told["head"] = spans, is_lost
            head = self._base.query_one("#head", Static)
            head.update(Content.assemble(*((text, _TONES.get(tone, "")) for text, tone in spans)))
            head.set_class(is_lost, "lost")

    def _label(self, name: str, text: str) -> None:
        if self._told.get(name) != text:
            self._told[name] = text
            self._base.query_one(TabbedContent).get_tab(name).label = Content(text)

    def _preview(self) -> None:
        # At the end the widgets go before the last event has come; here and in the other handlers.
        if self.is_running and self.chosen is not None and self._base.query_one(TabbedContent).active == "screen":
            self._capture(self.chosen)

    @work(thread=True, exclusive=True, group="screen")
    def _capture(self, peer: str) -> None:
        """Take a picture of a peer's screen."""
        self._post(self.Captured(peer, self._source.screen(peer)))

    def on_board_captured(self, event: Captured) -> None:
        """Show a screen."""
        if self.is_running and event.peer == self.chosen:
            lines = [model.Line(((_visible(line), ""),)) for line in event.text.rstrip().splitlines()]
            self._lines("screen").show(lines, f"{event.peer} has printed nothing.")

    def _lines(self, name: str) -> Lines:
        return self._base.query_one(f"#{name}-text", Lines)

    @property
    def _base(self) -> Screen[Any]:
        """The board itself, whatever dialog stands before it."""
        return self.screen_stack[0]

    @property
    def _peers(self) -> Peers:
        return self._base.query_one(Peers)

    @property
    def chosen(self) -> str | None:
        """The peer under the cursor."""
        return self._peers.chosen

    def on_peers_chosen(self) -> None:
        """Show the screen of the peer that was chosen at once."""
        if self.is_running:
            self._label("screen", f"Screen {self.chosen or ''}".strip())
            self._preview()

    def on_tabbed_content_tab_activated(self) -> None:
        """Likewise."""
        self._preview()

    # -- doing -----------------------------------------------------------------------------------------------------

    @work(thread=True)
    def _do(self, what: Callable[..., str], *words: str) -> None:
        """Do what a person said, and say what became of it."""
        try:
            self.notify(what(*words), markup=False)
        except (IntercomError, OSError) as error:
            self._complain(error)

    async def _say(self, verb: str, what: Callable[..., str]) -> None:
        peer = self.chosen
        if peer is not None and (text := await self.push_screen_wait(Words(f"{verb} {peer}"))):
            self._do(what, peer, text)

    @work
    async def action_send(self) -> None:
        """Send to the chosen peer."""
        await self._say("send to", self._source.send)

    @work
    async def action_ask(self) -> None:
        """Ask the chosen peer."""
        await self._say("ask", self._source.ask)

    @work
    async def action_answer(self) -> None:
        """Answer what we are asked: a decision, an interview or a plain ask, one of several if there are."""
        try:
            asks = await asyncio.to_thread(self._source.asked)
        except (IntercomError, OSError) as error:
            self._complain(error)
            return
        if not asks:
            self.notify("nobody waits for your answer")
            return
        place: int | None = 0
        if len(asks) > 1:
            lines = [f"{one.sender} · {one.kind}: {model.plain(one.text)[:200]}" for one in asks]
            place = await self.push_screen_wait(Choice("answer which?", lines))
        if place is None:
            return
        given = await answers(self, asks[place])
        if not given or not any(given.values()):
            self.notify(f"nothing was sent: {asks[place].sender} still waits")
            return
        try:
            self._do(self._source.reply, asks[place].ask_id, reply(asks[place], given))
        except IntercomError as error:
            self._complain(error)

    @work
    async def action_inbox(self) -> None:
        """Show what was sent to us, which is read by that."""
        try:
            rows = await asyncio.to_thread(self._source.inbox)
        except (IntercomError, OSError) as error:
            self._complain(error)
            return
        if not rows:
            self.notify("no message waits for you")
            return
        told = "\n\n".join(f"{row['from']}, {row['kind']}:\n{_readable(row['text'])}" for row in rows)
        await self.push_screen_wait(Reading(f"{len(rows)} for you", told, "Enter or Esc closes"))

    @work
    async def action_restart(self) -> None:
        """Start the chosen peer again, if that is meant."""
        await self._if_sure("restart", "Start {} again from nothing?", self._source.restart)

    @work
    async def action_kill(self) -> None:
        """End the chosen peer, if that is meant."""
        await self._if_sure("kill", "End {} for good?", self._source.kill)

    async def _if_sure(self, title: str, question: str, what: Callable[..., str]) -> None:
        if (peer := self.chosen) is None:
            return
        is_sure = await self.push_screen_wait(Sure(title, question.format(peer)))
        if is_sure:
            self._do(what, peer)

    def action_attach(self) -> None:
        """Give the terminal to the multiplexer until the person detaches."""
        if self.chosen is None:
            return
        try:
            argv, takes_terminal = self._source.attach_argv(self.chosen)
            if takes_terminal:
                with self.suspend():
                    subprocess.run(argv, env=feeds.environment(), check=False)
                return
            led = subprocess.run(argv, check=False, capture_output=True, text=True)
            self.notify(led.stderr.strip() or f"at {self.chosen}; Ctrl-B ; comes back", markup=False)
        except (IntercomError, OSError, SuspendNotSupported) as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        hint = getattr(error, "hint", None)
        self.notify(f"{error}{f' ({hint})' if hint else ''}", severity="error", timeout=10, markup=False)

    @work
    async def action_filter(self) -> None:
        """Show only what has a text in it; everything again with none."""
        text = await self.push_screen_wait(Line("show only what has this in it", self._wanted))
        if text is not None:
            self._wanted = text
            self._show()

    def action_only(self) -> None:
        """Show only the messages and tasks of the chosen peer, or all again."""
        self._only = None if self._only == self.chosen else self.chosen
        self._show()

    def action_all(self) -> None:
        """Show everything again."""
        self._wanted, self._only = "", None
        self._show()

    def action_tab(self, name: str) -> None:
        """Show another part below."""
        self._base.query_one(TabbedContent).active = name

    def action_dark(self) -> None:
        """Turn from dark to light, and back."""
        self.theme = "textual-light" if self.theme == "textual-dark" else "textual-dark"

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Keys("keys", HELP, "Esc, ? or q closes"))


def is_light(colours: str) -> bool:
    """Whether a terminal is light, by the COLORFGBG that some set (`0;15`: black on white); else dark."""
    return colours.rpartition(";")[2] in ("7", "15")


def _visible(line: str) -> str:
    return "".join(char if char.isprintable() else " " for char in line)


def _readable(text: str) -> str:
    return "\n".join(map(_visible, text.splitlines()))


def run(source: Source, team: str) -> None:
    """Show the board in this terminal until it is quit; its size is that of the terminal, whatever was exported."""
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    board = Board(source, team)
    board.run()
    board.wait(feeds.LOOK_S * 2)
