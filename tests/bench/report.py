"""Report of 100,000 messages, from a real journal to each format: `python -m tests.bench.report [MESSAGES]`.

A twentieth of the texts is long and hostile. Prints seconds per step, the sizes, and the most memory that was in use.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.broker.journal import Journal
from intercom_mux.report.collect import collect
from intercom_mux.report.markdown import markdown
from intercom_mux.report.model import build
from intercom_mux.report.page import html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]

PEERS = [f"worker-{number}" for number in range(40)]
BEGIN = 1_700_000_000_000
BATCH = 5_000


def main() -> None:
    """Fill a journal of its own, then report."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_STATE_HOME"] = home
        paths.private_dir(paths.state_dir())
        _fill(count)
        source = _timed("collect", lambda: collect("bench"))
        made = _timed("model", lambda: build(source))
        makers: dict[str, Callable[[], str]] = {
            "html": lambda: html(made, UTC),
            "md": lambda: markdown(made, UTC),
            "json": lambda: json.dumps(asdict(made)),
        }
        for name, make in makers.items():
            size = len(_timed(name, make).encode())
            print(f"{name:8} {size / 1_048_576:7.2f} MiB")
    print("\n".join(made.cuts))
    print(f"memory   {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:7.0f} MiB at most")


def _fill(count: int) -> None:
    journal = Journal(paths.journal_file())
    records = list(_records(count))
    for index in range(0, len(records), BATCH):
        journal.write(records[index : index + BATCH])
        journal.catch_up()
    journal.close()


def _records(count: int) -> Iterator[tuple[Any, ...]]:
    """Yield asks and their replies as the broker records them."""
    for number in range(count):
        turn, is_reply = divmod(number, 2)
        pair = PEERS[turn % 40], PEERS[(turn * 7 + 1) % 40]
        sender, target = reversed(pair) if is_reply else pair
        at, message_id = BEGIN + 700 * number, f"m{number:06d}"
        text = "<b>&'\"" * 400 if number % 20 == 0 else f"Which tests cover part {turn}? " * 4
        info = {"id": sender, "name": sender, "mux": {"kind": "peer", "team": "bench", "teamId": "bench-12345678"}}
        body = json.dumps({"id": message_id, "content": {"text": text}}).encode()
        asked = f"m{number - 1:06d}" if is_reply else None
        keys = (("", sender), ("", target))
        yield (
            "message", number + 1, message_id, *keys, json.dumps(info).encode(), body, b"", at, at + 600_000,
            not is_reply, asked, False,
        )  # fmt: skip
        yield "finish", number + 1, "done", at + 5
        if not is_reply:
            yield "ask", message_id, *keys, at, at + 600_000, text[:200], True, ""
            yield "ask_end", keys[0], message_id, "answered"


def _timed(name: str, run: Callable[[], Any]) -> Any:
    begun = time.perf_counter()
    result = run()
    print(f"{name:8} {time.perf_counter() - begun:7.2f} s", flush=True)
    return result


if __name__ == "__main__":
    main()
