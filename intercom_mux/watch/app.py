"""The board as a textual application: shows what the model makes of each look, and does what a key says."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from rich.text import Text
from textual import work
from textual.app import App, SuspendNotSupported
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.coordinate import Coordinate
from textual.message import Message
from textual.widgets import DataTable, Footer, Static, TabbedContent, TabPane

from intercom_mux.errors import IntercomError
from intercom_mux.watch import feed as feeds
from intercom_mux.watch import model
from intercom_mux.watch.dialogs import Choice, Help, Line, Sure

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.screen import Screen

    from intercom_mux.watch.model import Snapshot

Json = dict[str, Any]

PREVIEW_S = 1.0

HELP = """\
up, down   choose a peer              tab    to the next part
1 2 3      messages, screen, tasks    /      show only what has a text in it
s          send to the peer           k      ask it; the reply shows under the question
a          answer an ask to you       enter  attach to its pane (back: Ctrl-B d)
r          restart it                 x      kill it, after a question
d          light or dark              q      quit; the team goes on

Any key closes this."""


class Source(Protocol):
    """What the board needs of a feed."""

    def run(self, on_seen: Callable[[Snapshot], None], on_lost: Callable[[str], None]) -> None: ...
    def stop(self) -> None: ...
    def screen(self, peer: str) -> str: ...
    def attach_argv(self, peer: str) -> list[str]: ...
    def send(self, to: str, text: str) -> str: ...
    def ask(self, to: str, text: str) -> str: ...
    def reply(self, ask_id: str, text: str) -> str: ...
    def restart(self, peer: str) -> str: ...
    def kill(self, peer: str) -> str: ...


class Peers(DataTable[Text]):
    """The table of peers; Enter attaches, a click only chooses."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "app.attach", "Attach")]


class Board(App[None]):
    """Watches one team until it is quit; reads through `source` on a thread of its own."""

    TITLE = "intercom-mux"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 1; background: $primary; color: $text; padding: 0 1; }
    #head.lost { background: $error; }
    Peers { height: 45%; }
    TabbedContent { height: 1fr; }
    TabPane { padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "answer", "Answer"),
        Binding("s", "send", "Send"),
        Binding("k", "ask", "Ask"),
        Binding("r", "restart", "Restart"),
        Binding("x", "kill", "Kill"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("d", "dark", "Dark", show=False),
        Binding("1", "tab('messages')", show=False),
        Binding("2", "tab('screen')", show=False),
        Binding("3", "tab('tasks')", show=False),
        Binding("q", "quit", "Quit"),
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

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, source: Source, team: str) -> None:
        super().__init__()
        self._source = source
        self._team = team
        self._seen: Snapshot | None = None
        self._rows: dict[str, tuple[model.Cell, ...]] = {}
        self._lines: list[model.Line] | None = None
        self._wanted = ""
        self._told: dict[str, str] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def compose(self) -> ComposeResult:
        yield Static(Content(f"{self._team} · connecting"), id="head")
        yield Peers(cursor_type="row", zebra_stripes=True)
        with TabbedContent(initial="messages"):
            for name in ("messages", "screen", "tasks"):
                with TabPane(name.capitalize(), id=name), VerticalScroll():
                    yield Static(id=f"{name}-text")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        table = self._base.query_one(Peers)
        for column in model.COLUMNS:
            table.add_column(column, key=column)
        table.focus()
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
        self._show()

    def on_board_lost(self, event: Lost) -> None:
        """Say that what stands there is old."""
        self._head(f"{self._team} · DISCONNECTED: {event.why} · trying again", is_lost=True)

    def _show(self) -> None:
        """Bring the widgets up to date, writing only what differs."""
        seen = self._seen
        if seen is None:
            return
        waiting = f" · {len(seen.to_me)} to answer (a)" if seen.to_me else ""
        only = f" · only: {self._wanted}" if self._wanted else ""
        self._head(f"{self._team} · {len(seen.peers)} peers{waiting}{only}", is_lost=False)
        self._show_peers(model.rows(seen, self._wanted))
        lines = model.timeline(seen, self._wanted)
        if lines != self._lines:
            self._lines = lines
            text = Text("\n").join(Text(line.text, style=line.colour) for line in lines)
            self._write("messages", text, follows=True)
        self._tell("tasks", "\n".join(model.tasks(seen, self._wanted)) or "no tasks")

    def _head(self, text: str, *, is_lost: bool) -> None:
        if self._told.get("head") == text:
            return
        self._told["head"] = text
        head = self._base.query_one("#head", Static)
        head.update(Content(text))
        head.set_class(is_lost, "lost")

    def _show_peers(self, rows: dict[str, tuple[model.Cell, ...]]) -> None:
        table = self._base.query_one(Peers)
        changed = model.changes(self._rows, rows)
        chosen, self._rows = self.chosen, rows
        if changed is not None:
            places = {name: index for index, name in enumerate(rows)}
            for name, column, (text, colour) in changed:
                cell = Text(text, style=colour)
                table.update_cell_at(Coordinate(places[name], column), cell, update_width=True)
            return
        table.clear()
        for name, cells in rows.items():
            table.add_row(*(Text(text, style=colour) for text, colour in cells), key=name)
        if chosen in rows:
            table.move_cursor(row=list(rows).index(chosen))

    def _write(self, name: str, text: Text, *, follows: bool = False) -> None:
        widget = self._base.query_one(f"#{name}-text", Static)
        around = widget.parent
        at_end = isinstance(around, VerticalScroll) and around.scroll_offset.y >= around.max_scroll_y
        widget.update(text)
        if follows and at_end and isinstance(around, VerticalScroll):
            around.scroll_end(animate=False)

    def _tell(self, name: str, text: str) -> None:
        if self._told.get(name) != text:
            self._told[name] = text
            self._write(name, Text(text))

    def _preview(self) -> None:
        if self.chosen is not None and self._base.query_one(TabbedContent).active == "screen":
            self._capture(self.chosen)

    @work(thread=True, exclusive=True, group="screen")
    def _capture(self, peer: str) -> None:
        """Take a picture of a peer's screen."""
        text = "\n".join(map(_visible, self._source.screen(peer).splitlines()))
        self._post(self.Captured(f"— {peer} —\n{text}"))

    def on_board_captured(self, event: Captured) -> None:
        """Show a screen."""
        self._tell("screen", event.text)

    @property
    def _base(self) -> Screen[Any]:
        """The board itself, whatever dialog stands before it."""
        return self.screen_stack[0]

    @property
    def chosen(self) -> str | None:
        """The peer under the cursor."""
        names = list(self._rows)
        row = self._base.query_one(Peers).cursor_row
        return names[row] if 0 <= row < len(names) else None

    def on_data_table_row_highlighted(self) -> None:
        """Show the screen of the peer that was chosen at once."""
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
            hint = getattr(error, "hint", None)
            self.notify(f"{error}{f' ({hint})' if hint else ''}", severity="error", timeout=10, markup=False)

    async def _say(self, verb: str, what: Callable[..., str]) -> None:
        peer = self.chosen
        if peer is not None and (text := await self.push_screen_wait(Line(f"{verb} {peer}"))):
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
        """Answer an ask that waits for us, one of several if there are."""
        asks = self._seen.to_me if self._seen else ()
        if not asks:
            self.notify("nobody waits for your answer")
            return
        index: int | None = 0
        if len(asks) > 1:
            lines = [f"{row['with']}: {model.plain(row['text'])}" for row in asks]
            index = await self.push_screen_wait(Choice("answer which?", lines))
        if index is None:
            return
        ask = asks[index]
        text = await self.push_screen_wait(Line(f"{ask['with']} asks: {ask['text']}"))
        if text:
            self._do(self._source.reply, ask["id"], text)

    def action_restart(self) -> None:
        """Start the chosen peer again."""
        if self.chosen is not None:
            self._do(self._source.restart, self.chosen)

    @work
    async def action_kill(self) -> None:
        """End the chosen peer, if that is meant."""
        peer = self.chosen
        if peer is not None and await self.push_screen_wait(Sure(f"kill {peer} for good?")):
            self._do(self._source.kill, peer)

    def action_attach(self) -> None:
        """Give the terminal to the multiplexer until the person detaches."""
        if self.chosen is None:
            return
        try:
            argv = self._source.attach_argv(self.chosen)
            with self.suspend():
                subprocess.run(argv, env=feeds.environment(), check=False)
        except (IntercomError, OSError, SuspendNotSupported) as error:
            self.notify(str(error), severity="error", markup=False)

    @work
    async def action_filter(self) -> None:
        """Show only what has a text in it; everything again with none."""
        text = await self.push_screen_wait(Line("show only what has in it", self._wanted))
        if text is not None:
            self._wanted = text
            self._show()

    def action_tab(self, name: str) -> None:
        """Show another part below."""
        self._base.query_one(TabbedContent).active = name

    def action_dark(self) -> None:
        """Turn from dark to light, and back."""
        self.theme = "textual-light" if self.theme == "textual-dark" else "textual-dark"

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help(HELP))


def _visible(line: str) -> str:
    return "".join(char if char.isprintable() else " " for char in line)


def run(source: Source, team: str) -> None:
    """Show the board in this terminal until it is quit."""
    board = Board(source, team)
    board.run()
    board.wait(feeds.LOOK_S * 2)
