"""Words in and out that the fast path and click share, so that both say the same.

Imports nothing but `sys` and, where needed, C modules: the fast path pays for everything here, and
tests/test_import_budget.py watches it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    Json = dict[str, Any]

CRASH_EXIT = 70
INTERRUPTED_EXIT = 130
BROKEN_PIPE_EXIT = 141
"""What a shell shows for a program ended by SIGPIPE."""

TASK_STATES = ("assigned", "started", "blocked", "done", "failed")
DURATION_MAX_S = 7 * 24 * 3600.0
"""The broker keeps no ask open for longer."""

NOT_MARKED = "the broker was lost before these messages could be marked as read; they will be shown again"

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_STATES = {"queued": "queued", "sent": "delivered", "received": "received", "done": "taken up"}
_HOLDING = ("starting", "thinking", "tool", "blocked", "unknown", "exited")
"""States of a peer in which its agent is given nothing; a message waits until it is idle."""
_UNKNOWN = "outcome unknown"
"""How the detail of a receipt begins when nobody saw what became of a message."""
_CONTROLS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if code not in (9, 10)} | {13: ""}


# -- out -----------------------------------------------------------------------------------------------------------


def emit(text: str) -> None:
    """Print `text` as whole lines on stdout; it is flushed on return. A closed pipe ends the program quietly.

    On a terminal control characters are shown as U+FFFD: what another session wrote must not drive it.
    """
    out = sys.stdout
    if out.isatty():
        text = text.translate(_CONTROLS)
    try:
        out.write(text if text.endswith("\n") else f"{text}\n")
        out.flush()
    except BrokenPipeError:
        silence_stdout()
        raise SystemExit(BROKEN_PIPE_EXIT) from None


def silence_stdout() -> None:
    """Point stdout at nothing, so that the flush at exit does not fail again."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Print one line on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def note_waiting(count: int) -> None:
    """Tell a human at a terminal that messages wait; scripts and agents are not bothered."""
    if count > 0 and sys.stderr.isatty():
        note(f"{plural(count, 'message is', 'messages are')} waiting: intercom-mux inbox")


def width() -> int | None:
    """Return the columns of the terminal that stdout is, None in a pipe: nothing is cut there."""
    if not sys.stdout.isatty():
        return None
    import os

    return os.get_terminal_size(sys.stdout.fileno()).columns or None


def wants_json(arguments: list[str]) -> bool:
    """Return whether a command line asks for JSON, errors included."""
    return "--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)


# -- small things --------------------------------------------------------------------------------------------------


def short(message_id: str) -> str:
    """Return as much of an id as is shown; every verb accepts it back."""
    return message_id[:8]


def plural(count: int, one: str, many: str) -> str:
    """Return `count` with the word that fits it."""
    return f"{count} {one if count == 1 else many}"


def duration(text: str) -> float | None:
    """Return the seconds in `30`, `30s`, `10m` or `1.5h`; None when it is no duration above 0 and up to a week."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not number.isascii() or not number.replace(".", "", 1).isdigit():
        return None
    seconds = float(number) * _UNITS[unit]
    return seconds if 0 < seconds <= DURATION_MAX_S else None


def span(seconds: float) -> str:
    """Return a length of time in its largest whole unit: `12s`, `3m`, `5h`, `2d`."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def one_line(text: str) -> str:
    """Return `text` with every run of white space as one blank."""
    return " ".join(text.split())


def table(rows: Iterable[Sequence[str]], *, columns: int | None = None, indent: str = "") -> str:
    """Return aligned rows, without trailing blanks; a line longer than `columns` ends in an ellipsis."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(_cells, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = [cell + " " * (size - _cells(cell)) for cell, size in zip(row, widths, strict=True)]
        lines.append(_cut(indent + "  ".join(padded).rstrip(), columns))
    return "\n".join(lines)


def _cells(text: str) -> int:
    """Return the columns `text` takes in a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _cut(line: str, columns: int | None) -> str:
    if columns is None or _cells(line) <= columns:
        return line
    while line and _cells(line) >= columns:
        line = line[:-1]
    return f"{line}…"


# -- what verbs answer ---------------------------------------------------------------------------------------------


def sent(answer: Json) -> str:
    """Say what became of a message: `queued for planner, which is thinking · 7f3a1b2c`."""
    status = answer.get("status") or ""
    if answer["delivery"] == "queued":
        outcome = f"queued for {answer['to']}, which is not connected"
    elif status.partition(":")[0] in _HOLDING:
        outcome = f"queued for {answer['to']}, {'whose status' if status == 'unknown' else 'which'} is {status}"
    else:
        outcome = f"delivered to {answer['to']}" + (f" ({status})" if status else "")
    return f"{outcome} · {short(answer['messageId'])}"


def replied(answer: Json) -> str:
    """Say what became of a reply."""
    late = "; the ask was over, it goes as a message" if answer["isLate"] else ""
    fate = "queued for" if answer["delivery"] == "queued" else "delivered to"
    return f"reply {fate} {answer['to']}{late} · {short(answer['messageId'])}"


def reply(text: str, attachments: Sequence[Json]) -> str:
    """Return a reply as `ask` and `result` print it: its text, then what is attached."""
    return "\n\n".join([text, *map(_attachment, attachments)])


def left_open(ask_id: str) -> str:
    """Say what becomes of an ask whose asker was interrupted."""
    ticket = short(ask_id)
    return f"the ask goes on: fetch its reply with `intercom-mux result {ticket}`, or `intercom-mux cancel {ticket}`"


def _attachment(attachment: Json) -> str:
    content = attachment["content"].removesuffix("\n")
    fence = "~~~"
    while fence in content:
        fence += "~"
    return f"Attachment: {attachment['name']}\n{fence}{attachment.get('language', '')}\n{content}\n{fence}"


def letter(row: Json) -> str:
    """Return one message of the inbox: who, what, when, its text, and for an ask how to answer."""
    import time

    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["sent_at"] / 1000))
    about = f" to {short(row['reply_to'])}" if row["reply_to"] else ""
    lines = [f"[{short(row['id'])}] {row['kind']}{about} from {row['from']}, {at}"]
    lines.append(reply(row["text"], row["attachments"]))
    if row["kind"] == "ask":
        lines.append(f'(answer: intercom-mux reply --to {short(row["id"])} "…")')
    return "\n".join(lines)


def letters(rows: Sequence[Json]) -> str:
    """Return the inbox."""
    return "\n\n".join(map(letter, rows)) or "no messages are waiting"


def pending(value: Json, *, columns: int | None = None) -> str:
    """Return the open asks to us and of ours, oldest first."""
    lines = []
    if value["to_me"]:
        rows = [(*_ask_cells(row), "active" if row["is_active"] else "", row["text"]) for row in value["to_me"]]
        lines += ["asks to you:", table(rows, columns=columns, indent="  ")]
    if value["from_me"]:
        rows = [(*_ask_cells(row), _ask_state(row), row["text"]) for row in value["from_me"]]
        lines += ["asks of yours:", table(rows, columns=columns, indent="  ")]
    return "\n".join(lines) or "no pending asks"


def _ask_cells(row: Json) -> tuple[str, str, str]:
    return short(row["id"]), row["with"], span(row["age_s"])


def _ask_state(row: Json) -> str:
    kind = "waiting" if row["is_blocking"] else "ticket"
    state, note = _STATES.get(row["state"], row["state"]), row.get("note", "")
    if row["state"] == "done":
        state = note if note.startswith(_UNKNOWN) else state
    elif note:
        state = f"{state} ({note})"
    return f"{state}, {kind}"


def task(row: Json) -> str:
    """Return one task: `parser  60%  started  worker-1  Write the parser · lexer done`."""
    return table([task_cells(row)])


def task_cells(row: Json) -> tuple[str, ...]:
    """Return the cells of a task's line."""
    about = " · ".join(part for part in (row["title"], row["note"]) if part)
    return row["id"], f"{row['percent']}%", row["state"], row["owner"], about


def problem(message: str, hint: str | None = None) -> str:
    """Return an error as it is shown: what failed, further lines of it indented, and the next step."""
    first, *more = message.split("\n")
    lines = [f"error: {first}", *(f"  {line.strip()}" for line in more)]
    if hint:
        lines.append(f"hint: {hint}")
    return "\n".join(lines)
