"""contact_supervisor between a pi and peers of ours, both ways; the stand-in for pi speaks v1 by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cli.stage import run
from tests.support import wait_until
from tests.team.stage import DEMO, SHELL
from tests.team.test_native import PI, lines, piped, wait_joined

if TYPE_CHECKING:
    from tests.cli.stage import Ran
    from tests.team.stage import Stage

__all__ = ["piped"]

Json = dict[str, Any]

INTERVIEW = """Subagent requests a structured supervisor interview.
Interview: Storage
Child note: hurry

Questions:
1. [db] (single) Which one?
   Options:
   - sqlite
   - files
2. [why] (text) Why?

Supervisor reply instructions:
Answer in JSON.

```json
{"responses":[{"id":"db","value":"sqlite"},{"id":"why","value":"..."}]}
```"""


def run_as(stage: Stage, peer: str, *arguments: str) -> Ran:
    """Run a command as in a peer's pane."""
    return run(*arguments, env={"INTERCOM_MUX_IDENTITY": str(stage.runtime / f"{peer}.identity")})


def test_a_peer_of_ours_supervises_a_pi(piped: Stage) -> None:
    """What its contact_supervisor sends is pending as what it is, and the reply comes back to it."""
    piped.up({"helper": PI, "boss": SHELL}, supervisor="boss")
    wait_joined(piped)
    answer = piped.project / "answer"
    for contact, kind, said in (
        ("Subagent needs a supervisor decision.\nWhich way?", "decision", "left"),
        (INTERVIEW, "interview", '{"responses": [{"id": "db", "value": "files"}]}'),
    ):
        answer.unlink(missing_ok=True)
        (piped.project / "contact").write_text(contact)
        wait_until(lambda: run_as(piped, "boss", "pending", "--json").json["to_me"], what="the request")
        (row,) = run_as(piped, "boss", "answer", "--json").json
        assert (row["from"], row["kind"]) == ("helper", kind)
        assert run_as(piped, "boss", "reply", said).code == 0
        wait_until(answer.exists, what="the answer")
        wait_until(lambda: answer.read_text() == said, what="the answer")  # noqa: B023 - waited for in its turn
    (piped.project / "contact").write_text("Subagent progress update.\nhalf done")
    inbox = wait_until(lambda: run_as(piped, "boss", "inbox", "--json").json, what="the update")
    head = f"Subagent progress update.\nRun: {piped.id}\nAgent: helper\nChild index: 0\nChild intercom target: helper"
    assert inbox[-1]["text"] == f"{head}\n\nhalf done"


def test_a_pi_supervises_a_peer_of_ours(piped: Stage) -> None:
    """It gets the text that its own sub-agents would send, natively, and its reply is what the command prints."""
    piped.up({"helper": PI, "demo": DEMO}, supervisor="helper")
    wait_joined(piped)
    decided = run_as(piped, "demo", "supervisor", "decide", "Which way?")
    head = f"Run: {piped.id}\nAgent: demo\nChild index: 1\nChild intercom target: demo"
    text = f"Subagent needs a supervisor decision.\n{head}\n\nWhich way?"
    assert (decided.code, decided.out) == (0, f"pi heard: {text}\n")
    assert run_as(piped, "demo", "supervisor", "update", "half done").code == 0
    wait_until(lambda: len(lines(piped, "native.jsonl")) == 2, what="the update")
    assert lines(piped, "native.jsonl")[0] == ["demo", text]
    environment = json.loads((piped.project / "environment").read_text())
    assert not [name for name in environment if name.startswith(("PI_SUBAGENT_", "ATOMIC_SUBAGENT_"))]
