"""A stand-in agent: a raw-mode terminal program with a composer, a permission dialog and faults on demand.

It knows the truth about itself: `events.jsonl` holds every input with the state and the composer that it met, and
`submitted.jsonl` every message it took. Its state is whatever the file `state` of its directory says, if there is one.
A dialog hides the composer, swallows pastes, and Enter approves it by writing the file `APPROVED`. Messages taken are
shown in the look of the composer, as some real agents do.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
import tty
from pathlib import Path

PASTE_START, PASTE_END = b"\x1b[200~", b"\x1b[201~"
OSC_STATES = {"thinking": "working", "blocked": "blocked", "silent": "working", "strange-dialog": "blocked"}
DIALOG = "Bash  rm -rf build\nDo you want to proceed?\n❯ 1. Yes\n  2. No\n\nEsc to cancel"


class Tui:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.directory: Path = options.directory
        self.state: str = options.state
        self.composer = ""
        self.transcript: list[str] = []
        self.pending = b""
        self.enters_to_swallow: int = options.swallow_enters
        self.idle_at: float | None = None

    def run(self) -> None:
        tty.setraw(0)
        os.write(1, b"\x1b[?2004h")
        self.paint()
        while True:
            if select.select([0], [], [], 0.01)[0]:
                self.pending += self.read()
                while self.pending and self.take_one():
                    pass
                time.sleep(self.options.paint_delay)
                self.paint()
            if self.follow():
                self.paint()

    def read(self) -> bytes:
        return os.read(0, 65536)

    def follow(self) -> bool:
        """Take the state that the test or the clock asks for; return whether it changed."""
        before = self.state
        try:
            self.state = (self.directory / "state").read_text() or self.state
        except OSError:
            if self.idle_at is not None and time.monotonic() >= self.idle_at:
                self.state, self.idle_at = "idle", None
        return self.state != before

    def take_one(self) -> bool:
        """Take one paste or key off the input; return False when a paste is not complete."""
        if self.pending.startswith(PASTE_START):
            end = self.pending.find(PASTE_END)
            if end < 0:
                return False
            text = self.pending[len(PASTE_START) : end].decode()
            self.pending = self.pending[end + len(PASTE_END) :]
            self.log("paste", size=len(text))
            self.paste(text)
            return True
        key, self.pending = self.pending[:1], self.pending[1:]
        self.log("enter" if key == b"\r" else "key", hex=key.hex())
        if key == b"\r":
            self.enter()
        else:
            self.key(key.decode(errors="replace"))
        return True

    def key(self, text: str) -> None:
        if self.state != "blocked":
            self.composer += text

    def paste(self, text: str) -> None:
        if self.options.die_on == "paste":
            sys.exit(3)
        if self.state == "blocked":
            return
        self.composer += text
        if self.options.dialog_on_paste:
            self.state = "blocked"

    def enter(self) -> None:
        if self.options.die_on == "enter":
            sys.exit(3)
        if self.state == "blocked":
            (self.directory / "APPROVED").touch()
            self.state = "idle"
        elif self.enters_to_swallow:
            self.enters_to_swallow -= 1
            self.composer += "\n"
        elif self.composer:
            with (self.directory / "submitted.jsonl").open("a") as file:
                file.write(json.dumps(self.composer) + "\n")
            self.transcript += [f"› {self.shown()}"]
            self.composer = ""
            self.state = self.options.after_enter
            self.idle_at = time.monotonic() + self.options.busy_s

    def log(self, event: str, **facts: object) -> None:
        entry = {"event": event, "state": self.state, "composer": self.composer, **facts}
        with (self.directory / "events.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def shown(self) -> str:
        if len(self.composer) > 5000:
            return f"[Pasted {len(self.composer)} characters]"
        first, *rest = self.composer.split("\n")
        return first + (f" (+{len(rest)} lines)" if rest else "")

    def paint(self) -> None:
        title = "idle" if self.state in ("blocked", "strange-dialog") else self.state
        lines = ["stand-in agent", *self.transcript[-10:], ""]
        if self.state == "blocked":
            lines += DIALOG.split("\n")
        elif self.state == "strange-dialog":
            lines += ["Shall I? y/n"]
        elif self.state != "starting":
            lines += [f"› {self.shown() or 'Type a message'}"]
        screen = "\r\n".join(lines)
        if self.options.osc:
            os.write(1, f"\x1b]7501;state={OSC_STATES.get(self.state, 'idle')}:app=tui:kind=permission\x1b\\".encode())
        os.write(1, f"\x1b]2;tui · {title}\x1b\\\x1b[2J\x1b[H{screen}".encode())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--state", default="idle")
    parser.add_argument("--after-enter", default="thinking")
    parser.add_argument("--busy-s", type=float, default=0.3)
    parser.add_argument("--paint-delay", type=float, default=0)
    parser.add_argument("--swallow-enters", type=int, default=0)
    parser.add_argument("--osc", action="store_true", help="tell the state by OSC 7501")
    parser.add_argument("--dialog-on-paste", action="store_true")
    parser.add_argument("--die-on", choices=("paste", "enter"))
    Tui(parser.parse_args()).run()


if __name__ == "__main__":
    main()
