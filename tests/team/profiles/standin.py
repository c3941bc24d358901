"""A stand-in for any agent: hooked.py with the look of one of skins.py, started by that agent's own command line.

`standin.py SKIN DIRECTORY [the agent's own arguments]`. It finds its hooks where the real agent does. It shows nothing
until the file `ready` is there, queues prompts while the file `connecting` is, if its agent does that, and ends with
the status that the file `exit` holds. With the arguments of `codex queue` it queues a message for the one that runs.
`raw` holds every byte that it has read from its terminal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import termios
import time
import tomllib
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.team.profiles.skins import SKINS
from tests.team.programs.hooked import HOOK_TIMEOUT_S, Hooked
from tests.team.programs.tui import PASTE_START

Json = dict[str, Any]
OSC_STATES = {"idle": "idle", "thinking": "working", "blocked": "blocked:kind=permission"}
CODEX_TABLES = ("notify=", "hooks.")
ROWS_OF_TALK = 6


class StandIn(Hooked):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.skin = SKINS[options.skin]
        self.notify, hooks = own_wiring(options.arguments)
        self.hooks = hooks
        self.prompts: list[str] = []
        self.queued: list[str] = []
        self.pasted_at = self.began_at = 0.0
        self.shown_state = ""

    def read(self) -> bytes:
        if self.skin.edits_line and self.state == "thinking":
            # Nobody reads the terminal until the next prompt, which gets the lines typed meanwhile.
            return b""
        data = super().read()
        if self.skin.edits_line and PASTE_START not in data:
            data = data.replace(b"\n", b"\r")
        with (self.directory / "raw").open("ab") as file:
            file.write(data)
        return data

    # -- what it does --------------------------------------------------------------------------------------------

    def follow(self) -> bool:
        if (self.directory / "exit").exists():
            sys.exit(int((self.directory / "exit").read_text()))
        if self.state == "starting":
            if (self.directory / "ready").exists():
                self.state = "idle"
        elif self.state == "idle" and (self.directory / "queue").exists():
            prompt = (self.directory / "queue").read_text()
            (self.directory / "queue").unlink()
            self.take(prompt)
        elif self.state == "idle" and self.queued and not self.is_connecting():
            joined, self.queued = "\n\n".join(self.queued), []
            self.take(joined)
        else:
            super().follow()
        return self.look() != self.shown_state

    def take(self, prompt: str) -> None:
        """Take a prompt that was queued; the draft stays."""
        draft, self.composer = self.composer, prompt
        self.enter()
        self.composer, self.shown_state = draft, ""

    def is_connecting(self) -> bool:
        """Whether it queues prompts though it looks ready."""
        return bool(self.skin.queue) and (self.directory / "connecting").exists()

    def look(self) -> str:
        """The state that the screen shows."""
        is_quiet = self.state == "thinking" and time.monotonic() < self.began_at + self.skin.quiet_s
        return "idle" if is_quiet else self.state

    def paste(self, text: str) -> None:
        self.pasted_at = time.monotonic()
        super().paste(text)

    def key(self, text: str) -> None:
        if self.state == "blocked" and text in self.skin.approves:
            self.approve()
        else:
            super().key(text)

    def enter(self) -> None:
        if self.state == "starting" or time.monotonic() < self.pasted_at + self.skin.newline_s:
            self.composer += "\n"
            return
        if self.state == "idle" and self.is_connecting():
            self.queued.append(self.composer)
            self.composer = ""
        if self.composer and self.state != "blocked":
            self.began_at = time.monotonic()
            self.prompts.append(self.composer)
        super().enter()

    def call(self, event: str, **payload: object) -> Json:
        """Run the agent's own hooks for a moment that claude would call `event`; answers read as claude's."""
        name, more = self.skin.events.get(event, ("", {}))
        said = super().call(name, **payload, prompt_response=payload.get("last_assistant_message"), **more)
        if said.get("hookSpecificOutput", {}).get("hookEventName") == name:
            said["hookSpecificOutput"]["hookEventName"] = event
        if event == "Stop" and self.notify and said.get("decision") != "block":
            self.tell_end(str(payload["last_assistant_message"]))
        return said

    def tell_end(self, last: str) -> None:
        """Run what codex calls at the end of a turn."""
        facts = {"type": "agent-turn-complete", "thread-id": "s-1", "input-messages": self.prompts}
        facts["last-assistant-message"] = last
        self.prompts = []
        subprocess.run([*self.notify, json.dumps(facts)], timeout=HOOK_TIMEOUT_S, check=False)

    # -- how it looks --------------------------------------------------------------------------------------------

    def shown(self) -> str:
        lines = self.composer.split("\n")
        if self.skin.marker is not None:
            is_long = len(self.composer) > self.skin.limit
            facts = {"chars": len(self.composer), "lines": len(lines)}
            return self.skin.marker.format(**facts) if is_long else self.composer
        return lines[0] + (f" (+{len(lines) - 1} lines)" if lines[1:] else "")

    def paint(self) -> None:
        self.shown_state = state = self.look()
        if self.skin.edits_line:
            set_mode(is_editing=state != "thinking")
        screen = ""
        if state != "starting":
            talk = "\n".join(map(self.told, self.transcript[-ROWS_OF_TALK:]))
            screen = self.skin.dialog if state == "blocked" else self.skin.screen
            busy = self.skin.busy if state == "thinking" else ""
            parts = {"talk": talk, "busy": busy, "queue": self.waiting(), "composer": self.rows()}
            screen = screen.format(**parts).replace("\n", "\r\n")
        title = self.skin.titles.get(state)
        if title is not None:
            os.write(1, f"\x1b]2;{title}\x1b\\".encode())
        if self.skin.osc7501 and state in OSC_STATES:
            os.write(1, f"\x1b]7501;state={OSC_STATES[state]}:app={self.options.skin}\x1b\\".encode())
        os.write(1, f"\x1b[2J\x1b[H{screen}".encode())

    def waiting(self) -> str:
        """The rows of what it has queued."""
        rows = [self.skin.queue, *("    " + text.replace("\n", " ") for text in self.queued)]
        return "\n".join(rows) if self.queued else ""

    def told(self, line: str) -> str:
        """One row of the talk: messages taken stand there in the look of the composer."""
        row = line.split("\n")[0][:70]
        return self.skin.first + row.removeprefix("› ") if row.startswith("› ") else row

    def rows(self) -> str:
        """The composer, wrapped as the agent wraps it."""
        width = os.get_terminal_size().columns - len(self.skin.more) - 2
        rows = [row for line in (self.shown() or self.skin.placeholder).split("\n") for row in wrapped(line, width)]
        return "\n".join((self.skin.more if number else self.skin.first) + row for number, row in enumerate(rows))


def set_mode(*, is_editing: bool) -> None:
    """Have the terminal as a line editor has it, or as it is while a program works."""
    mode = termios.tcgetattr(0)
    edited = termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN
    mode[0] = mode[0] & ~termios.ICRNL if is_editing else mode[0] | termios.ICRNL
    mode[1] |= termios.OPOST
    mode[3] = mode[3] & ~edited if is_editing else mode[3] | edited
    termios.tcsetattr(0, termios.TCSANOW, mode)


def wrapped(line: str, width: int) -> list[str]:
    """Return a line in rows of at most `width` cells."""
    rows, used = [""], 0
    for character in line:
        cells = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used + cells > width:
            rows.append("")
            used = 0
        rows[-1] += character
        used += cells
    return rows


def own_wiring(arguments: list[str]) -> tuple[list[str], Json]:
    """Return the notify command and the hooks, from where each agent reads them."""
    if "--settings" in arguments:
        return [], json.loads(Path(arguments[arguments.index("--settings") + 1]).read_text())["hooks"]
    if settings := os.environ.get("GEMINI_CLI_SYSTEM_SETTINGS_PATH"):
        return [], json.loads(Path(settings).read_text())["hooks"]
    given = [
        tomllib.loads(word) for flag, word in pairwise(arguments) if flag == "-c" and word.startswith(CODEX_TABLES)
    ]
    notify: list[str] = next((table["notify"] for table in given if "notify" in table), [])
    return notify, {event: hooks for table in given for event, hooks in table.get("hooks", {}).items()}


def queue(options: argparse.Namespace) -> None:
    """Be `codex queue --thread ID --message TEXT`."""
    _, _, thread, _, message = options.arguments
    assert thread == "s-1"
    draft = options.directory / "queue.new"
    draft.write_text(message)
    draft.rename(options.directory / "queue")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("skin")
    parser.add_argument("directory", type=Path)
    parser.set_defaults(
        state="starting", busy_s=0.2, after_enter="thinking", paint_delay=0, swallow_enters=0, dialog_on_paste=False,
        die_on=None, osc=False, settings=None,
    )  # fmt: skip
    options = parser.parse_args(sys.argv[1:3])
    options.arguments = sys.argv[3:]
    if options.arguments[:1] == ["queue"]:
        queue(options)
    else:
        StandIn(options).run()


if __name__ == "__main__":
    main()
