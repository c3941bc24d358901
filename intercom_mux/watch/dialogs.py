"""What the board asks a person: words, one or several of many, yes or no. Escape leaves each with nothing done."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from textual.app import SuspendNotSupported
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, SelectionList, Static, TextArea

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import App, ComposeResult
    from textual.binding import BindingType
    from textual.widget import Widget

Value = TypeVar("Value")

_ESCAPE: list[BindingType] = [("escape", "leave", "Leave")]


class Dialog(ModalScreen["Value | None"], Generic[Value]):
    """A framed box: what it is about on the frame above, its keys on the frame below; None when it was left."""

    DEFAULT_CSS = "Dialog { align: center middle; }"
    CSS = """
    #box {
        width: 90%; max-width: 100; height: auto; max-height: 90%; padding: 0 1;
        border: round $accent; border-title-color: $text-accent; border-subtitle-color: $foreground 70%;
        background: $surface;
    }
    #about { height: auto; max-height: 1fr; }
    #box TextArea { height: auto; min-height: 3; max-height: 12; border: tall $border-blurred; }
    #box TextArea:focus { border: tall $border; }
    #box OptionList, #box SelectionList { height: auto; max-height: 14; border: none; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = _ESCAPE
    keys = "Esc leaves"

    def __init__(self, title: str, about: str = "") -> None:
        super().__init__()
        self._title = title
        self._about = about

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = Content(_one_line(self._title)).markup
            box.border_subtitle = self.keys
            if self._about:
                with VerticalScroll(id="about", can_focus=False):
                    yield Static(Content(self._about))
            yield from self.parts()

    def parts(self) -> Sequence[Widget]:
        """Return what stands below the text; the first that can has the focus."""
        return ()

    def action_leave(self) -> None:
        """Close it with nothing."""
        self.dismiss(None)


async def act_now(widget: Widget, event: events.Key) -> None:
    """Do at once what a key is bound to in `widget`. textual waits till the key has bubbled up: letters overtake it."""
    for binding in widget._bindings.key_to_bindings.get(event.key, ()):
        event.stop()
        event.prevent_default()
        await widget.run_action(binding.action)


class Writing(TextArea):
    """Some lines: Enter is done, Ctrl-J a new line, Ctrl-G the person's own editor."""

    BINDINGS: ClassVar[list[BindingType]] = [("ctrl+g", "edit", "Editor"), ("ctrl+j", "newline", "New line")]

    class Done(Message):
        """The person has written it."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key != "enter":
            await act_now(self, event)
            return
        event.stop()
        event.prevent_default()
        self.post_message(self.Done())

    def action_newline(self) -> None:
        """Begin a new line."""
        self.insert("\n")

    def action_edit(self) -> None:
        """Hand the text to $EDITOR, and take what comes back."""
        try:
            self.text = edited(self.app, self.text)
        except (OSError, SuspendNotSupported) as error:
            self.notify(str(error), severity="error", markup=False)
        self.move_cursor(self.document.end)


class Typing(Input):
    """One line."""

    async def _on_key(self, event: events.Key) -> None:
        await act_now(self, event)


class Words(Dialog[str]):
    """Asks for a text, of several lines if need be; an empty one is an answer too."""

    keys = "Enter sends · Ctrl-J new line · Ctrl-G editor · Esc leaves"

    def parts(self) -> Sequence[Widget]:
        """Return the place to write."""
        return (Writing(soft_wrap=True, show_line_numbers=False),)

    def on_writing_done(self) -> None:
        """Take it."""
        self.dismiss(self.query_one(Writing).text.strip())


class Answer(Words):
    """The same for a question among others, of which each may be left out."""

    keys = "Enter goes on, empty skips · Ctrl-J new line · Ctrl-G editor · Esc leaves"


class Line(Dialog[str]):
    """Asks for one short line."""

    keys = "Enter is done · Esc leaves"

    def __init__(self, title: str, value: str = "") -> None:
        super().__init__(title)
        self._value = value

    def parts(self) -> Sequence[Widget]:
        """Return the line."""
        return (Typing(self._value),)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it."""
        self.dismiss(event.value)


class Choice(Dialog[int]):
    """Asks which one; the answer is its place, or -1 for none of them where that can be said."""

    BINDINGS: ClassVar[list[BindingType]] = [*_ESCAPE, ("s", "skip", "Skip")]

    def __init__(self, title: str, options: Sequence[str], about: str = "", *, skips: bool = False) -> None:
        super().__init__(title, about)
        self._options = options
        self._skips = skips
        self.keys = f"Enter chooses{' · s skips' if skips else ''} · Esc leaves"

    def parts(self) -> Sequence[Widget]:
        """Return the options."""
        return (OptionList(*map(Content, self._options)),)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take it."""
        self.dismiss(event.option_index)

    def action_skip(self) -> None:
        """Choose none."""
        if self._skips:
            self.dismiss(-1)


class Marks(SelectionList[int]):
    """Space marks, Enter is done."""

    BINDINGS: ClassVar[list[BindingType]] = [("enter", "screen.done", "Done")]


class Choices(Dialog[list[int]]):
    """Asks which ones; none is an answer too."""

    keys = "Space marks · Enter goes on, none skips · Esc leaves"

    def __init__(self, title: str, options: Sequence[str], about: str = "") -> None:
        super().__init__(title, about)
        self._options = options

    def parts(self) -> Sequence[Widget]:
        """Return the options."""
        return (Marks(*((Content(option), place) for place, option in enumerate(self._options))),)

    def action_done(self) -> None:
        """Take what is marked."""
        self.dismiss(sorted(self.query_one(Marks).selected))


class Sure(Dialog[bool]):
    """Asks whether to go on: by `y`, or by Enter where nothing can be lost by it."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "answer(True)", "Yes"), ("n", "answer(False)", "No"), *_ESCAPE]
    keys = "y yes · n no"

    def action_answer(self, is_yes: bool) -> None:
        """Take it."""
        self.dismiss(is_yes)


class Reading(Dialog[bool]):
    """Shows a text; Enter goes on."""

    BINDINGS: ClassVar[list[BindingType]] = [("enter", "read", "Go on"), *_ESCAPE]

    def __init__(self, title: str, about: str, keys: str = "Enter goes on · Esc leaves") -> None:
        super().__init__(title, about)
        self.keys = keys

    def action_read(self) -> None:
        """Go on."""
        self.dismiss(True)


class Keys(Reading):
    """Shows the keys, and goes by the one that brought it, too."""

    BINDINGS: ClassVar[list[BindingType]] = [("question_mark,q", "leave", "Leave")]


def edited(app: App[Any], text: str) -> str:
    """Return what a person makes of `text` in $VISUAL or $EDITOR, else vi, on the whole terminal meanwhile.

    Raises:
        OSError: There is no such program.
        SuspendNotSupported: Not where the application runs.
    """
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "answer.md"
        file.write_text(text)
        with app.suspend():
            subprocess.run([*command, str(file)], check=False)
        return file.read_text().removesuffix("\n")


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
