"""Words in and out that the fast path and click share, so that both say the same.

Imports nothing but `sys` and, where needed, C modules: the fast path pays for everything here, and
tests/test_import_budget.py watches it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, TextIO

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
_PATH_MIN_COLUMNS = 12
_WRAPPED_MIN_COLUMNS = 20
_LONG_CHARS = 1_000
_STATES = {"queued": "queued", "sent": "delivered", "received": "received", "done": "taken up"}
_FATES = {
    "starting": "it gets it when it is ready",
    "thinking": "it will read it after its turn",
    "tool": "it will read it after its turn",
    "blocked": "the message waits until somebody answers its dialog",
    "unknown": "the message waits until it is seen to be idle, or reads its inbox",
    "exited": "the message waits until it is started again",
}
"""State of a peer in which its agent is given nothing → what that means for a message."""
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


def width(stream: TextIO | None = None) -> int | None:
    """Return the columns of the terminal that `stream` is (stdout), None in a pipe: nothing is cut there."""
    stream = stream or sys.stdout
    if not stream.isatty():
        return None
    import os

    return os.get_terminal_size(stream.fileno()).columns or None


def wants_json(arguments: list[str]) -> bool:
    """Return whether a command line asks for JSON, errors included."""
    return "--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)


# -- small things --------------------------------------------------------------------------------------------------


def short(message_id: str) -> str:
    """Return as much of an id as is shown; every verb accepts it back. Notices are told apart by their end alone."""
    return message_id if message_id.startswith("notice-") else message_id[:8]


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


def table(
    rows: Iterable[Sequence[str]],
    *,
    columns: int | None = None,
    indent: str = "",
    ends_in_path: bool = False,
    is_last_wrapped: bool = False,
) -> str:
    """Return aligned rows, without trailing blanks.

    A line longer than `columns` ends in an ellipsis; one that `ends_in_path` loses the beginning of the path instead,
    which is the same in most rows; with `is_last_wrapped` its last cell goes on below itself.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(cells_of, column)) for column in zip(*cells, strict=True)]
    room = columns - cells_of(indent) - sum(widths[:-1]) - 2 * len(widths[:-1]) if columns else 0
    if is_last_wrapped and room >= _WRAPPED_MIN_COLUMNS:
        cells = [line for row in cells for line in _wrapped(row, room)]
    lines = []
    for row in cells:
        if ends_in_path and room >= _PATH_MIN_COLUMNS:
            row[-1] = _end_of(row[-1], room)
        padded = [cell + " " * (size - cells_of(cell)) for cell, size in zip(row, widths, strict=True)]
        lines.append(cut(indent + "  ".join(padded).rstrip(), columns))
    return "\n".join(lines)


def cells_of(text: str) -> int:
    """Return the columns `text` takes in a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def cut(line: str, columns: int | None) -> str:
    """Return `line` in at most `columns`, with an ellipsis when it does not fit; whole without a number."""
    if columns is None or cells_of(line) <= columns:
        return line
    while line and cells_of(line) >= columns:
        line = line[:-1]
    return f"{line}…"


def _wrapped(row: list[str], columns: int) -> list[list[str]]:
    import textwrap

    first, *more = textwrap.wrap(row[-1], columns) or [""]
    return [[*row[:-1], first], *([*("" for _ in row[:-1]), line] for line in more)]


def hanging(head: str, body: str, columns: int | None) -> str:
    """Return `head` and `body`, which goes on below itself; words stay whole, as some are paths, and nothing is cut."""
    if not columns or columns - cells_of(head) < _WRAPPED_MIN_COLUMNS:
        return head + body
    import textwrap

    below = " " * cells_of(head)
    lines = textwrap.wrap(body, columns - len(below), break_long_words=False, break_on_hyphens=False)
    return head + f"\n{below}".join(lines)


def _end_of(path: str, columns: int) -> str:
    if cells_of(path) <= columns:
        return path
    while path and cells_of(path) >= columns:
        path = path[1:]
    return f"…{path}"


def short_path(path: str) -> str:
    """Return a path as people write it, with `~` for their home."""
    import os

    home = os.path.expanduser("~")
    return f"~{path[len(home) :]}" if path == home or path.startswith(f"{home}/") else path


# -- what verbs answer ---------------------------------------------------------------------------------------------


def sent(answer: Json) -> str:
    """Say what becomes of a message: `sent to planner (thinking); it will read it after its turn · 7f3a1b2c`."""
    whom, status, before = answer["to"], answer.get("status") or "", answer.get("before", 0)
    state = status.partition(":")[0]
    if answer["delivery"] == "queued" and state != "exited":
        outcome = f"queued for {whom}, which is not connected; it gets it when it is back"
    elif state in _FATES:
        outcome = f"sent to {whom} ({status}); {_FATES[state]}"
    else:
        outcome = f"delivered to {whom}" + (f" ({status})" if status else "")
    if before:
        why = f": {answer['held']}" if answer.get("held") else ""
        outcome += f"; {plural(before, 'message waits', 'messages wait')} before it{why}"
    return f"{outcome} · {short(answer['messageId'])}"


def followed(fate: Json) -> str:
    """Say what became of a message that was waited for."""
    words = {"queued": f"{fate['to']} has it in its own queue, for after its turn"}
    return f"{words.get(fate['outcome'], 'submitted to ' + fate['to'])} · {short(fate['messageId'])}"


def held(receipt: Json) -> str | None:
    """Return why a message waits, in a line for its sender; None for a receipt that tells no such thing."""
    reason = receipt.get("detail") if receipt["status"] == "queued" else None
    return f"note: {short(receipt['messageId'])} waits: {reason}" if reason else None


def replied(answer: Json) -> str:
    """Say what became of a reply."""
    late = "; the ask was over, it goes as a message" if answer["isLate"] else ""
    fate = "queued for" if answer["delivery"] == "queued" else "delivered to"
    return f"reply {fate} {answer['to']}{late} · {short(answer['messageId'])}"


def reply(text: str, attachments: Sequence[Json]) -> str:
    """Return a reply as `ask` and `result` print it: its text, then what is attached."""
    return "\n\n".join([text, *map(_attachment, attachments)])


AUTO_REPLY = "note: these are the last words of its turn; a correction may follow"


def turn_note(kind: str, words: str) -> str:
    """Say that a peer's turn brought no answer, with its last words ("ended") or the end of the screen ("idle")."""
    what = "its turn ended without a reply" if kind == "ended" else "it is idle again without a reply"
    source = "its last words" if kind == "ended" else "its screen ends"
    shown = "".join(f"\n  {line}" for line in words.rstrip().split("\n")) if words.strip() else ""
    return f"note: {what}; the ask stays open" + (f"; {source}:{shown}" if shown else "")


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
    """Return one message of the inbox: who, what, when, its text, and for an ask how to answer.

    A long one says first how it ends, and how to read what is missing: an agent may get a command's output cut, and
    hear nothing of that.
    """
    import time

    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["sent_at"] / 1000))
    about = f" to {short(row['reply_to'])}" if row["reply_to"] else ""
    lines = [f"[{short(row['id'])}] {row['kind']}{about} from {row['from']}, {at}"]
    body = reply(row["text"], row["attachments"])
    end = f"(end of {short(row['id'])})" if len(body) > _LONG_CHARS else ""
    if end:
        lines.append(
            f'(ends in "{end}"; if that is missing: intercom-mux inbox {short(row["id"])} > FILE, then read FILE)'
        )
    lines.append(body)
    if row["kind"] == "ask":
        lines.append(f'(answer: intercom-mux reply --to {short(row["id"])} "…")')
    return "\n".join([*lines, end] if end else lines)


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


def wait_cells(row: Json) -> tuple[str, str, str]:
    """Return whom an ask of the scope waits for, since when, and why it is held if it is."""
    note = row["note"] if row["state"] != "done" else ""
    return row["to"], span(row["age_s"]), f"{short(row['id'])} {note}".rstrip()


def _ask_cells(row: Json) -> tuple[str, str, str]:
    return short(row["id"]), row["with"], span(row["age_s"])


def _ask_state(row: Json) -> str:
    kind = "waiting" if row["is_blocking"] else "ticket"
    state, note = _STATES.get(row["state"], row["state"]), row.get("note", "")
    if row["state"] == "done":
        state = note if note.startswith(_UNKNOWN) else state
    elif note:
        state = f"{state} ({note})"
    told = ", a turn ended without a reply" if row.get("turn") else ""
    return f"{state}, {kind}{told}"


def task(row: Json) -> str:
    """Return one task: `parser  60%  started  worker-1  Write the parser · lexer done`."""
    return table([task_cells(row)])


def current_task(owner: str, team: str, rows: list[Json]) -> Json | None:
    """Return the task of a peer that is under way and was changed last: a begun one before one it only was given."""
    mine = [row for row in rows if (row["owner"], row["team"]) == (owner, team)]
    begun = [row for row in mine if row["state"] in ("started", "blocked")]
    left = begun or [row for row in mine if row["state"] == "assigned"]
    return max(left, key=lambda row: row["updated_at"]) if left else None


def task_history(row: Json) -> str:
    """Return a task with how it came about, oldest first, and the messages it is linked with."""
    import time

    lines = [task(row), f"  from {row['assigner']}"]
    for change in row["history"]:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(change["at"] / 1000))
        facts = (at, f"{change['percent']}%", change["state"], change["owner"] or "-", f"by {change['by']}")
        lines.append(f"  {'  '.join(facts)}  {change['note']}".rstrip())
    lines += [f"  message {short(message)}" for message in row["messages"]]
    return "\n".join(lines)


def tasks(rows: list[Json], *, columns: int | None = None) -> str:
    """Return the tasks as a table."""
    head = ("TASK", "DONE", "STATE", "OWNER", "ABOUT")
    return table(team_task_cells(rows, head), columns=columns) if rows else "no tasks"


def team_task_cells(rows: list[Json], head: tuple[str, ...] | None = None) -> list[tuple[str, ...]]:
    """Return the cells of tasks, below a head if one is given; those of several teams begin with their team's id."""
    lines = [head] if head else []
    if len({row["team"] for row in rows}) < 2:
        return [*lines, *map(task_cells, rows)]
    ordered = sorted(rows, key=lambda row: row["team"] or "")
    return [*(("TEAM", *line) for line in lines), *((row["team"] or "-", *task_cells(row)) for row in ordered)]


def task_cells(row: Json) -> tuple[str, ...]:
    """Return the cells of a task's line."""
    about = " · ".join(part for part in (row["title"], row["note"]) if part)
    return row["id"], f"{row['percent']}%", row["state"], row["owner"] or "-", about


def problem(message: str, hint: str | None = None) -> str:
    """Return an error as it is shown: what failed, further lines of it indented, and the next step."""
    first, *more = message.split("\n")
    lines = [f"error: {first}", *(f"  {line.strip()}" for line in more)]
    if hint:
        lines.append(f"hint: {hint}")
    return "\n".join(lines)
