"""The two lists of the board, drawn line by line: only what differs from the last time is drawn anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from intercom_mux.watch import model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from textual import events
    from textual.binding import BindingType

    from intercom_mux.watch.model import Line, Span

TONES = ("good", "busy", "bad", "mine", "quiet", "strong")
GAP = 2
MIN_TASK = 12
"""Fewest cells for the task; columns that matter less make room for it."""
_CAPS = {"peer": 24, "status": 22, "waits for": 26}
_LEAVES_FIRST = ("waits for", "for")


class _Toned(ScrollView, can_focus=True):
    """Lines in tones, which are those of the theme."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*(f"tone--{tone}" for tone in TONES), "tone--cursor", "tone--head"}
    DEFAULT_CSS = """
    _Toned {
        scrollbar-size-vertical: 1; scrollbar-color: $panel-lighten-2; scrollbar-background: $background;
        & > .tone--good { color: $text-success; }
        & > .tone--busy { color: $text-warning; }
        & > .tone--bad { color: $text-error; text-style: bold; }
        & > .tone--mine { color: $text-accent; }
        & > .tone--quiet { color: $foreground 60%; }
        & > .tone--strong { text-style: bold; }
        & > .tone--cursor { background: $primary-muted; }
        & > .tone--head { color: $foreground 70%; text-style: underline; }
    }
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._styles_of: dict[str, Style] = {}

    def tone(self, name: str) -> Style:
        """Return the style of a tone under the present theme."""
        if name not in self._styles_of:
            found = self.get_component_rich_style(f"tone--{name}", partial=True) if name else Style()
            self._styles_of[name] = found
        return self._styles_of[name]

    def notify_style_update(self) -> None:
        """Forget the tones of another theme."""
        super().notify_style_update()
        self.call_later(self.repaint)

    def repaint(self) -> None:
        """Draw all anew, in the tones of the present theme."""
        self._styles_of.clear()
        self.refresh()


class Peers(_Toned):
    """A row per peer and a cursor on one; Enter and a double click attach, a click only chooses."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "app.attach", "Attach"),
        Binding("up", "go(-1)", show=False),
        Binding("down", "go(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "go(-1000)", show=False),
        Binding("end", "go(1000)", show=False),
    ]

    class Chosen(Message):
        """The cursor is on another peer."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.rows: dict[str, tuple[Span, ...]] = {}
        self.chosen: str | None = None
        self.drawn = 0
        self._names: list[str] = []
        self._widths: dict[int, int] = {}

    def show(self, rows: Mapping[str, tuple[Span, ...]]) -> None:
        """Show these rows; the cursor stays on its peer while that is among them."""
        before, self.rows = self.rows, dict(rows)
        place = self._names.index(self.chosen) if self.chosen in self._names else 0
        is_other = list(rows) != self._names
        self._names = list(rows)
        if is_other:
            self.virtual_size = Size(0, len(rows) + 1)
            if self.chosen not in rows:
                self._choose(place)
        if self._fit() or is_other:
            self.refresh(layout=is_other)
            return
        for place, (name, cells) in enumerate(rows.items()):
            if before[name] != cells:
                self._refresh_row(place)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 # its shape
        """Return the height of all rows and the head."""
        return len(self._names) + 1

    def render_line(self, y: int) -> Strip:
        """Draw the head, which stays, or a row."""
        width = self.scrollable_content_region.width
        if y == 0:
            return self._strip([(title, "head") for title in model.COLUMNS], Style(), width)
        place = y - 1 + self.scroll_offset.y
        if place >= len(self._names):
            return Strip.blank(width, self.rich_style)
        self.drawn += 1
        name = self._names[place]
        under = self.tone("cursor") if name == self.chosen else Style()
        return self._strip(self.rows[name], under, width, "▌" if name == self.chosen else " ")

    def action_go(self, by: int) -> None:
        """Move the cursor."""
        if self._names:
            here = self._names.index(self.chosen) if self.chosen in self._names else 0
            self._choose(here + by)

    def action_page(self, by: int) -> None:
        """Move it by what is to be seen."""
        self.action_go(by * max(1, self.size.height - 2))

    def on_click(self, event: events.Click) -> None:
        """Choose the row under the mouse."""
        place = event.y - 1 + self.scroll_offset.y
        if event.y >= 1 and place < len(self._names):
            self._choose(place)
            if event.chain == 2:
                self.app.run_worker(self.app.run_action("attach"))

    def on_resize(self) -> None:
        """Give the columns their room, which were drawn with what they had before."""
        if self._fit():
            self.refresh()
        self._see()

    def _choose(self, place: int) -> None:
        place = max(0, min(place, len(self._names) - 1))
        was, self.chosen = self.chosen, self._names[place] if self._names else None
        if was == self.chosen:
            return
        if was in self._names:
            self._refresh_row(self._names.index(was))
        self._refresh_row(place)
        self._see()
        self.post_message(self.Chosen())

    def _see(self) -> None:
        """Bring the cursor into sight, below the head."""
        if self.chosen not in self._names or self.size.height < 2:
            return
        place, rows = self._names.index(self.chosen), self.size.height - 1
        first = self.scroll_offset.y
        if place < first:
            self.scroll_to(y=place, animate=False)
        elif place >= first + rows:
            self.scroll_to(y=place - rows + 1, animate=False)

    def _refresh_row(self, place: int) -> None:
        y = place - self.scroll_offset.y + 1
        if 0 < y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _fit(self) -> bool:
        """Give each column its width; return whether some is another than before."""
        titles = model.COLUMNS
        cells = [*self.rows.values()]
        wanted = {
            index: min(max([len(title), *(cell_len(row[index][0]) for row in cells)]), _CAPS.get(title, 99))
            for index, title in enumerate(titles[:-1])
        }
        room = self.scrollable_content_region.width - 1
        for title in _LEAVES_FIRST:
            if sum(wanted.values()) + GAP * len(wanted) + MIN_TASK <= room:
                break
            wanted.pop(titles.index(title))
        wanted[len(titles) - 1] = max(0, room - sum(wanted.values()) - GAP * len(wanted))
        is_other = wanted != self._widths
        self._widths = wanted
        return is_other

    def _strip(self, cells: Sequence[Span], under: Style, width: int, edge: str = " ") -> Strip:
        segments = [Segment(edge, self.tone("mine") + under)]
        for index, (text, tone) in enumerate(cells):
            if index in self._widths:
                segments.append(Segment(_cut(text, self._widths[index]), self.tone(tone) + under))
                segments.append(Segment(" " * GAP, under))
        strip = Strip(segments).adjust_cell_length(width, under)
        return strip.apply_style(self.rich_style)


class Lines(_Toned):
    """Lines of text, wrapped below their indent; a list that follows stays at its end unless scrolled up."""

    def __init__(self, empty: str, *, follows: bool = False, wraps: bool = True, **more: Any) -> None:
        super().__init__(**more)
        self._empty = empty
        self._follows = self._is_at_end = follows
        self._wraps = wraps
        self._lines: list[Line] = []
        self._strips: list[Strip] = []
        self._made: dict[Line, list[Strip]] = {}

    @property
    def text(self) -> str:
        """All that it shows."""
        return "\n".join(line.text for line in self._lines) or self._empty

    def show(self, lines: Sequence[Line], empty: str) -> None:
        """Show these lines instead of what was there, or `empty` when there are none."""
        if list(lines) != self._lines or empty != self._empty:
            self._lines, self._empty = list(lines), empty
            self._lay()

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        place = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        strip = self._strips[place] if place < len(self._strips) else Strip([])
        return strip.adjust_cell_length(width).apply_style(self.rich_style)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow no more once the person has scrolled up, again from the end on; growing lines do not count."""
        super().watch_scroll_y(old_value, new_value)
        if new_value >= self.max_scroll_y:
            self._is_at_end = self._follows
        elif new_value < old_value:
            self._is_at_end = False

    def on_resize(self) -> None:
        """Wrap anew."""
        self._made.clear()
        self._lay()

    def repaint(self) -> None:
        """Wrap and colour anew."""
        super().repaint()
        self._made.clear()
        self._lay()

    def _lay(self) -> None:
        if not self.size.width:
            return
        lines = self._lines or [model.Line(((self._empty, "quiet"),))]
        made = {line: self._made.get(line) or list(self._strips_of(line)) for line in lines}
        before, self._strips = self._strips, [strip for line in lines for strip in made[line]]
        self._made = made
        self.virtual_size = Size(0, len(self._strips))
        if self._is_at_end:
            self.scroll_to(y=max(0, len(self._strips) - self.size.height), animate=False)
        if len(before) != len(self._strips):
            self.refresh()
            return
        for place, (old, new) in enumerate(zip(before, self._strips, strict=True)):
            if old is not new:
                self.refresh(Region(0, place - self.scroll_offset.y, self.size.width, 1))

    def _strips_of(self, line: Line) -> Iterator[Strip]:
        text = Text.assemble(*((part, self.tone(tone)) for part, tone in line.spans), end="")
        if not self._wraps:
            yield Strip(list(text.render(self.app.console)))
            return
        width = max(10, self.scrollable_content_region.width)
        first, *_ = text.wrap(self.app.console, width, tab_size=4) or [text]
        yield Strip(list(first.render(self.app.console)))
        # What the first line took, and the space that it was broken at, is over.
        rest = text[len(first.plain) :]
        rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
        if rest.plain:
            for part in rest.wrap(self.app.console, max(10, width - line.indent), tab_size=4):
                yield Strip([Segment(" " * line.indent), *part.render(self.app.console)])


def _cut(text: str, width: int) -> str:
    """Return `text` in exactly `width` cells, with an ellipsis when it does not fit."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…" if width > 0 else ""
