"""What the board asks a person: a line of text, one of several, yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

_FRAME = """
{name} {{ align: center middle; }}
{name} > * {{ width: 90%; max-width: 100; height: auto; max-height: 90%; border: round $accent; background: $surface; }}
{name} OptionList {{ height: auto; max-height: 12; }}
"""


class Line(ModalScreen[str | None]):
    """Asks for one line; None when it was left by Escape."""

    CSS = _FRAME.format(name="Line")
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Leave")]

    def __init__(self, title: str, value: str = "") -> None:
        super().__init__()
        self._title = title
        self._value = value

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(Content(self._title))
            yield Input(self._value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)


class Choice(ModalScreen[int | None]):
    """Asks which one; None when it was left by Escape."""

    CSS = _FRAME.format(name="Choice")
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Leave")]

    def __init__(self, title: str, options: Sequence[str]) -> None:
        super().__init__()
        self._title = title
        self._options = options

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(Content(self._title))
            yield OptionList(*map(Content, self._options))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_index)


class Sure(ModalScreen[bool]):
    """Asks yes or no; only `y` is yes."""

    CSS = _FRAME.format(name="Sure")
    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "dismiss(True)", "Yes"),
        ("n", "dismiss(False)", "No"),
        ("escape", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(Content(f"{self._question}  y / n"))


class Help(ModalScreen[None]):
    """Shows a text until a key is pressed."""

    CSS = _FRAME.format(name="Help")

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Content(self._text))

    def on_key(self) -> None:
        self.dismiss(None)
