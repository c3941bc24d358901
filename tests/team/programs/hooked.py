"""A stand-in agent with hooks: tui.py that runs the commands of a settings.json at the moments at which claude does.

`model.jsonl` holds what "the model" got, in order: `{"prompt"}`, `{"context"}` beside a prompt or a tool's result, and
`{"block"}` for the feedback that makes it go on at the end of a turn. A turn lasts while the file `work` exists. The
file `tool` makes it use a tool, `slow-tool` while it exists,
`dialog` makes it ask for permission. Its last words are those of the file
`answer`. What it knows of its hooks' failures stands in `hook-failures.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.team.programs.tui import Tui

HOOK_TIMEOUT_S = 20.0


class Hooked(Tui):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.hooks: dict[str, Any] = json.loads(options.settings.read_text())["hooks"] if options.settings else {}
        self.ends_at = 0.0

    def run(self) -> None:
        self.call("SessionStart", source="startup")
        super().run()

    def call(self, event: str, **payload: object) -> dict[str, Any]:
        """Run the hooks of an event and return what the last that said something said."""
        said: dict[str, Any] = {}
        for matcher in self.hooks.get(event, ()):
            for hook in matcher["hooks"]:
                text = json.dumps({"hook_event_name": event, "session_id": "s-1", **payload})
                done = subprocess.run(
                    hook["command"], shell=True, input=text, capture_output=True, text=True, timeout=HOOK_TIMEOUT_S
                )
                if done.returncode or done.stderr:
                    self.write("hook-failures.jsonl", {"event": event, "code": done.returncode, "err": done.stderr})
                elif done.stdout:
                    said = json.loads(done.stdout)
        return said

    def write(self, name: str, entry: object) -> None:
        with (self.directory / name).open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def tell(self, event: str, said: dict[str, Any]) -> None:
        """Give the model the context that a hook returned for this event."""
        output = said.get("hookSpecificOutput", {})
        if output.get("hookEventName") == event and output.get("additionalContext"):
            self.write("model.jsonl", {"context": output["additionalContext"]})

    def enter(self) -> None:
        if self.state == "blocked":
            self.approve()
            return
        prompt = self.composer
        super().enter()
        if prompt and not self.composer:
            self.state, self.idle_at = "thinking", None
            self.ends_at = time.monotonic() + self.options.busy_s
            self.paint()
            said = self.call("UserPromptSubmit", prompt=prompt)
            self.write("model.jsonl", {"prompt": prompt})
            self.tell("UserPromptSubmit", said)

    def approve(self) -> None:
        self.state = "thinking"
        (self.directory / "APPROVED").touch()

    def follow(self) -> bool:
        if self.state == "blocked" and self.took("answered"):
            self.state = "thinking"
            return True
        if self.state != "thinking":
            return super().follow()
        if self.took("dialog"):
            self.call("PermissionRequest", tool_name="Bash", tool_input={"command": "rm"})
            self.state = "blocked"
            return True
        if self.took("tool"):
            self.call("PreToolUse", tool_name="Bash")
            self.tell("PostToolUse", self.call("PostToolUse", tool_name="Bash", tool_response="ok"))
            return True
        slow = self.directory / "slow-tool"
        if slow.exists():
            self.call("PreToolUse", tool_name="Bash")
            while slow.exists():
                time.sleep(0.01)
            self.tell("PostToolUse", self.call("PostToolUse", tool_name="Bash", tool_response="ok"))
            return True
        if self.took("interrupt"):
            self.state = "idle"
            return True
        if time.monotonic() >= self.ends_at and not (self.directory / "work").exists():
            self.stop()
            return True
        return False

    def stop(self) -> None:
        """End the turn, or go on with what a hook says instead."""
        answer = self.directory / "answer"
        last = answer.read_text() if answer.exists() else "done"
        self.transcript.append(f"● {last}")
        said = self.call("Stop", stop_hook_active=False, last_assistant_message=last)
        if said.get("decision") == "block":
            self.write("model.jsonl", {"block": said["reason"]})
            self.tell("Stop", said)
            self.ends_at = time.monotonic() + self.options.busy_s
        else:
            self.state = "idle"

    def took(self, name: str) -> bool:
        file = self.directory / name
        if not file.exists():
            return False
        file.unlink()
        return True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--state", default="idle")
    parser.add_argument("--busy-s", type=float, default=0.3)
    parser.set_defaults(
        after_enter="thinking", paint_delay=0, swallow_enters=0, dialog_on_paste=False, die_on=None, osc=False
    )
    Hooked(parser.parse_args()).run()


if __name__ == "__main__":
    main()
