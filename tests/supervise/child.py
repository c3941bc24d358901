"""A sub-agent of pi as far as its file channel goes, from the facts: asks, looks every 250 ms, prints the reply.

Runs as `python -m tests.supervise.child FIELDS`; `Child` starts it with its channel in the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

Json = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
CHANNEL = "PI_SUBAGENT_SUPERVISOR_CHANNEL_DIR"


def channels() -> Path:
    """Return where the channels of this test's children are."""
    return Path(os.environ["PI_SUBAGENTS_TEMP_ROOT"]) / "supervisor-channels"


def request(**fields: Any) -> Json:
    """Return a request, with `fields` in place of what usually stands there."""
    now = time.time() * 1000
    return {
        "type": "subagent.supervisor.request",
        "id": str(uuid.uuid4()),
        "createdAt": now,
        "expiresAt": now + 600_000,
        "reason": "need_decision",
        "message": "Which way?",
        "expectsReply": True,
        "orchestratorTarget": "planner",
        "orchestratorSessionId": "019-pi",
        "runId": "run1",
        "agent": "scout",
        "childIndex": 0,
        "childTarget": "subagent-scout-run1-1",
        **fields,
    }


def put(channel: Path, value: Json | bytes, name: str | None = None) -> Path:
    """Write a request into a channel, which is made if need be; return its file."""
    for directory in (channel.parent.parent, channel.parent, channel, channel / "requests", channel / "replies"):
        directory.mkdir(mode=0o700, exist_ok=True)
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    file = channel / "requests" / (name or f"{json.loads(data)['id']}.json")
    part = file.with_suffix(".part")
    part.write_bytes(data)
    part.chmod(0o600)
    return part.rename(file)


class Child:
    """A running child."""

    def __init__(self, name: str = "run1-scout-0", *, env: dict[str, str] | None = None, **fields: Any) -> None:
        self.request = request(**fields)
        self.channel = channels() / name
        environment = {**os.environ, **(env or {}), CHANNEL: str(self.channel), "PYTHONPATH": str(REPOSITORY)}
        argv = [sys.executable, "-m", "tests.supervise.child", json.dumps(self.request)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "asked\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def id(self) -> str:
        """The id of its request."""
        return str(self.request["id"])

    def reply(self) -> str:
        """Wait for the child's end and return the reply that it got."""
        out, _ = self.process.communicate(timeout=20)
        return str(json.loads(out))

    def kill(self) -> None:
        """End it as a crash would: its request stays."""
        self.process.kill()
        self.process.wait()


def main() -> None:
    """Ask, wait, print the reply as JSON, tidy up."""
    channel, value = Path(os.environ[CHANNEL]), json.loads(sys.argv[1])
    asked = put(channel, value)
    print("asked", flush=True)
    answered = channel / "replies" / asked.name
    while time.time() * 1000 < value["expiresAt"]:
        with suppress(FileNotFoundError):
            reply = json.loads(answered.read_bytes())
            assert (reply["type"], reply["requestId"]) == ("subagent.supervisor.reply", value["id"])
            print(json.dumps(reply["message"]), flush=True)
            asked.unlink()
            answered.unlink()
            return
        time.sleep(0.25)


if __name__ == "__main__":
    main()
