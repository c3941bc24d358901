"""The picture: a transcript that scrolls away above, and the composer as the last line.

The composer is drawn inline below the transcript (no alternate screen), so that history stays in the terminal. Long
lines are left to the terminal's own wrapping and their rows counted, so that a terminal that reflows on resize agrees
with us. Not thread-safe; `Terminal` holds the lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.agents.demo.cells import fitted, printable, rows, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROMPT = "› "
TITLE_PREFIX = "demo · "

_SGR = {"": "", "strong": "1", "faint": "2", "good": "32", "bad": "31", "accent": "36"}
_COMPOSER_ROWS_MAX = 3
_QUEUED_SHOWN = 3


class Screen:
    """Draws on a terminal, or writes plain lines when `is_terminal` is false.

    `size` returns columns and rows and is asked before every drawing.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        size: Callable[[], tuple[int, int]],
        *,
        is_terminal: bool,
        has_colour: bool,
    ) -> None:
        self._write = write
        self._size = size
        self._is_terminal = is_terminal
        self._has_colour = is_terminal and has_colour
        self._block: list[str] = []
        self._draft = ""
        self._queued: list[str] = []
        self._title = ""

    def show(self, text: str, style: str = "") -> None:
        """Add `text` to the transcript; `style` is one of strong, faint, good, bad, accent or ""."""
        lines = [printable(line) for line in text.split("\n")]
        if not self._is_terminal:
            self._write("".join(f"{line}\n" for line in lines))
            return
        columns, _ = self._size()
        shown = "".join(f"{self._styled(row, style)}\r\n" for line in lines for row in wrap(line, columns))
        self._repaint(shown)

    def compose(self, draft: str, queued: Sequence[str]) -> None:
        """Draw the composer with what is typed, and above it what was submitted but not begun."""
        self._draft = draft
        self._queued = list(queued)
        if self._is_terminal:
            self._repaint("")

    def title(self, status: str) -> None:
        """Set the terminal's title to the status, by OSC 2."""
        if self._is_terminal and status != self._title:
            self._title = status
            self._write(f"\x1b]2;{TITLE_PREFIX}{status}\x07")

    def close(self) -> None:
        """Take the composer and the title away."""
        if self._is_terminal:
            self._write(f"{self._erased()}\x1b]2;\x07")
            self._block = []

    def _repaint(self, above: str) -> None:
        columns, height = self._size()
        erased = self._erased()
        self._block = self._composer(columns, height)
        styled = [self._styled(line, "faint") for line in self._block[:-1]]
        prompt = self._styled(PROMPT, "accent") + self._block[-1].removeprefix(PROMPT)
        block = "\r\n".join((*styled, prompt))
        self._write(f"\x1b[?25l{erased}{above}{block}\x1b[?25h")

    def _erased(self) -> str:
        """Return what removes the composer as it stands, the cursor being at its end."""
        if not self._block:
            return ""
        columns, _ = self._size()
        up = sum(rows(line, columns) for line in self._block) - 1
        return f"\r\x1b[{up}A\x1b[J" if up else "\r\x1b[J"

    def _composer(self, columns: int, height: int) -> list[str]:
        """Return the lines of the composer: submissions that wait, then the draft."""
        room = max(1, min(_COMPOSER_ROWS_MAX, height - 2))
        shown = self._queued[-min(_QUEUED_SHOWN, max(height - room - 2, 1)) :]
        lines = [f"· queued: {text.partition(chr(10))[0]}" for text in shown]
        if len(shown) < len(self._queued):
            lines.insert(0, f"· {len(self._queued) - len(shown)} more queued")
        first, *others = self._draft.split("\n")
        suffix = f" (+{len(others)} lines)" if others else ""
        draft = fitted(printable(first), max(room * (columns - 1) - len(PROMPT) - len(suffix), 8))
        return [*(fitted(printable(line), max(columns, 8)) for line in lines), f"{PROMPT}{draft}{suffix}"]

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if style and self._has_colour and text else text
