"""A stand-in for pi: its screen and title, and a v1 client of its own, built from tests/v1 alone.

What its model gets it writes to `native.jsonl` of its directory, what is typed and submitted to `typed.jsonl`. It
answers questions by itself, asks what the file `ask` says (`PEER TEXT`) and writes the answer to `answer`. What the
file `contact` says (`HEADING`, a line end, the body) it tells its supervisor, as its extension does if its four
variables are set. It joins only while the file `offline` is absent.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import time
import tty
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.v1.client import V1Client

HERE = Path.cwd()
RULE = "─" * 40


def write(name: str, value: object) -> None:
    with (HERE / name).open("a") as file:
        file.write(json.dumps(value) + "\n")


class Native(V1Client):
    """Writes down what the model gets."""

    def _take_message(self, sender: dict, message: dict) -> None:  # type: ignore[type-arg]  # as in tests/v1
        before = len(self.inbox)
        super()._take_message(sender, message)
        if len(self.inbox) > before:
            write("native.jsonl", [sender["name"], message["content"]["text"]])


def live() -> None:
    agent = Path(os.environ.get("PI_CODING_AGENT_DIR") or Path.home() / ".pi" / "agent")
    while (HERE / "offline").exists():
        time.sleep(0.02)
    client = Native(
        agent / "intercom" / "broker.sock",
        "its-own-name",
        session_id=os.environ["PI_INTERCOM_STABLE_ID"],
        scope=os.environ.get("PI_INTERCOM_SCOPE_ID", ""),
    )
    client.on_ask = lambda text: f"pi heard: {text}"
    with client:
        client._post({"type": "presence", "status": "idle"})
        while True:
            if wish := take("ask"):
                peer, _, text = wish.partition(" ")
                (HERE / "answer").write_text(str(client.ask(peer, text)))
            if wish := take("contact"):
                heading, _, body = wish.partition("\n")
                contact(client, heading, body)
            time.sleep(0.02)


def take(name: str) -> str:
    """Return what the test has written into a file, and remove it; "" before it is written."""
    file = HERE / name
    text = file.read_text() if file.exists() else ""
    if text:
        file.unlink()
    return text


def contact(client: Native, heading: str, body: str) -> None:
    keys = ("ORCHESTRATOR_TARGET", "RUN_ID", "CHILD_AGENT", "CHILD_INDEX")
    target, run, agent, index = (os.environ[f"PI_SUBAGENT_{key}"] for key in keys)
    assert not os.environ.get("PI_SUBAGENT_SUPERVISOR_CHANNEL_DIR")
    wanted = os.environ.get("PI_SUBAGENT_ORCHESTRATOR_SESSION_ID") or os.environ.get("PI_INTERCOM_SESSION_ID") or target
    whom = wanted if client.resolve(wanted) else target
    lines = [heading, f"Run: {run}", f"Agent: {agent}", f"Child index: {index}"]
    if name := os.environ.get("PI_SUBAGENT_INTERCOM_SESSION_NAME"):
        lines.append(f"Child intercom target: {name}")
    text = "\n".join([*lines, "", body])
    if heading == "Subagent progress update.":
        client.send(whom, text)
    else:
        (HERE / "answer").write_text(client.ask(whom, text))


def paint(composer: str) -> None:
    shown = composer.replace("\n", "\r\n")
    screen = f"pi stand-in\r\n{RULE}\r\n{shown}\r\n{RULE}\r\n0.0%/128k"
    os.write(1, f"\x1b]2;π - here\x1b\\\x1b[2J\x1b[H{screen}".encode())


def main() -> None:
    tty.setraw(0)
    os.write(1, b"\x1b[?2004h")
    threading.Thread(target=live, daemon=True).start()
    composer = ""
    paint(composer)
    while True:
        if not select.select([0], [], [], 0.1)[0]:
            continue
        text = os.read(0, 65536).decode(errors="replace")
        is_pasted = "\x1b[200~" in text
        text = text.replace("\x1b[200~", "").replace("\x1b[201~", "")
        if text.endswith("\r") and not is_pasted:
            write("typed.jsonl", composer)
            composer = ""
        else:
            composer += text.replace("\r", "\n")
        paint(composer)


if __name__ == "__main__":
    part = HERE / "environment.part"
    part.write_text(json.dumps(dict(os.environ)))
    part.rename(HERE / "environment")
    main()
