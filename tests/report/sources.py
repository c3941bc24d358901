"""Made-up teams to report on."""

from __future__ import annotations

from typing import Any

from intercom_mux.report.collect import MAX_TEXT_CHARS, Source
from intercom_mux.team.status_log import Change

Json = dict[str, Any]

NOON = 1_700_000_000_000
HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)>&amp;&#60;",
    "safe\u202etxt.exe\u2066 \x00\x1b[31m\ud800",
    "]]></style><style>*{display:none}",
    "| a | b |\n# no heading `code` [x](javascript:alert(1))",
    "x" * 1_048_576,
    "W" * 300,
]


def message(
    number: int, sender: str, receiver: str, text: str = "hello", *, kind: str = "message", **more: Any
) -> Json:
    """Return one message as the journal tells it, a second after the one before."""
    return {
        "id": f"m{number}",
        "kind": kind,
        "from": sender,
        "from_id": f"id-{sender}",
        "to": receiver,
        "to_id": f"id-{receiver}",
        "at": NOON + 1000 * number,
        "state": "done",
        "ended_at": None,
        "reply_to": None,
        "attachments": [],
        "is_auto": False,
        "outcome": "open" if kind == "ask" else None,
        **more,
        "text": text[:MAX_TEXT_CHARS],
        "chars": len(text),
    }


def source(messages: list[Json], *, peers: list[str] | None = None, now: int = NOON + 3_600_000, **more: Any) -> Source:
    """Return what was collected about a team called blue, which runs unless said."""
    names = peers or list(dict.fromkeys(name for row in messages for name in (row["from"], row["to"])))
    return Source("blue", "blue-12345678", more.pop("is_running", True), names, messages, now, **more)


def busy() -> Source:
    """Return a team with everything that a page shows, hostile texts and names included."""
    peers = ["planner", "worker-1", "worker-2", "scout"]
    rows = []
    for turn in range(60):
        worker = peers[1 + turn % 3]
        asked = message(3 * turn + 1, "planner", worker, f"Which tests cover part {turn}?", kind="ask")
        back = message(3 * turn + 2, worker, "planner", f"Those of part {turn}.", kind="reply", reply_to=asked["id"])
        told = message(3 * turn + 3, worker, "scout", HOSTILE[turn % len(HOSTILE)])
        rows += [asked, back, told] if turn % 10 else [asked, told]
    rows.append(message(190, 'shell "<b>x</b>"', "planner", "how far?", kind="ask", outcome="expired"))
    rows.append(message(191, "planner", "planner", "a note to myself"))
    words = ["starting", "idle", "thinking", "tool:<b>Bash</b>", "blocked:permission", "idle", "exited:0", "stopped"]
    changes = [
        Change(NOON + 20_000 * step + 1_000 * at, peer, status)
        for step, status in enumerate(words)
        for at, peer in enumerate(peers)
    ]
    history = [
        {"at": NOON, "by": "planner", "state": "assigned", "percent": 0, "note": ""},
        {"at": NOON + 40_000, "by": "worker-1", "state": "started", "percent": 10, "note": ""},
        {"at": NOON + 90_000, "by": "worker-1", "state": "blocked", "percent": 40, "note": "no access"},
        {"at": NOON + 120_000, "by": "worker-1", "state": "done", "percent": 100, "note": ""},
    ]
    task = {"title": "the parser", "owner": "worker-1", "assigner": "planner", "note": "", "created_at": NOON}
    tasks = [
        {**task, "id": "parser", "state": "done", "percent": 100, "updated_at": NOON + 120_000, "history": history},
        {**task, "id": "<i>docs</i>", "state": "started", "percent": 30, "updated_at": NOON + 60_000},
    ]
    changes.sort()
    return source(rows, peers=peers, tasks=tasks, changes=changes, now=NOON + 200_000)
