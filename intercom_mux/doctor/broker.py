"""The broker, who holds the places of pi and atomic, and the journal."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from intercom_mux import __version__, paths
from intercom_mux.broker import journal_check, lifecycle, places
from intercom_mux.doctor.finding import Finding
from intercom_mux.host import lock as locks

if TYPE_CHECKING:
    from collections.abc import Iterator

LOW_DISK_MB = 100
"""Below so much free room the journal may soon refuse a message."""


def broker() -> Iterator[Finding]:
    """Yield whether our broker runs, and who listens where sessions of pi and atomic look."""
    health = lifecycle.probe(paths.broker_socket())
    known = lifecycle.running() if health else None
    if health is None:
        yield _silent()
    elif "broker" not in health:
        text = f"at {paths.broker_socket()} a broker answers that is not ours"
        yield Finding("error", "broker", text, "end that process, then: intercom-mux broker start")
    elif known is None:
        yield Finding("warning", "broker", f"one answers, but {paths.broker_file()} does not tell of it", _AGAIN)
    elif known.get("version") != __version__:
        text = f"pid {known.get('pid')} is of version {known.get('version')}, this is {__version__}"
        yield Finding("warning", "broker", text, _AGAIN)
    else:
        yield Finding("ok", "broker", f"pid {known.get('pid')} answers at {paths.broker_socket()}")
    for place in places.survey(known.get("pid") if known else None):
        if place["state"] == "ours":
            yield Finding("ok", "place", f"{place['path']}: ours")
        elif place["state"] == "foreign":
            who = f"pid {place['pid']}" if place["pid"] else "another process"
            text = f"{place['path']}: a broker that is not ours ({who})"
            yield Finding("note", "place", text, "intercom-mux broker replace")


def _silent() -> Finding:
    """Tell why nobody answers: none was started, one died and left its `broker.json`, or one hangs."""
    try:
        pid = int(json.loads(paths.broker_file().read_text())["pid"])
    except FileNotFoundError:
        return Finding("ok", "broker", "none runs; the first command that needs it starts it")
    except (OSError, ValueError, KeyError, TypeError):
        text = f"none answers, and {paths.broker_file()} of the last one cannot be read"
        return Finding("warning", "broker", text, "intercom-mux broker start")
    if not _is_lock_held():
        text = (
            f"the last one (pid {pid}) was killed; what it had accepted is in the journal and is delivered by the next"
        )
        return Finding("warning", "broker", text, "intercom-mux broker start")
    text = f"pid {pid} does not answer at {paths.broker_socket()}"
    return Finding(
        "error", "broker", text, f"kill -9 {pid}; intercom-mux broker start (nothing that was accepted is lost)"
    )


def _is_lock_held() -> bool:
    """Whether the broker's process still lives: it holds its lock to the end, while a pid may be another's by now."""
    try:
        with (paths.state_dir() / "broker.lock").open("r+") as lock:
            if not locks.try_lock(lock.fileno()):
                return True
            locks.release(lock.fileno())
    except OSError:
        pass
    return False


_AGAIN = "intercom-mux broker stop (nothing is lost; the next command starts it)"


def journal() -> Iterator[Finding]:
    """Yield whether the journal is whole, how large it is, and whether there is room left for it."""
    path = paths.journal_file()
    if not path.exists():
        yield Finding("ok", "journal", "none yet")
        return
    size_mb = path.stat().st_size / 1_048_576
    if wrong := journal_check.problem(path):
        fix = f"intercom-mux broker stop; mv {path} {path}.broken (what waits in it is then not delivered)"
        yield Finding("error", "journal", f"{path} cannot be used: {wrong}", fix)
    else:
        yield Finding("ok", "journal", f"{path} is whole, {size_mb:.1f} MiB")
    free_mb = shutil.disk_usage(path.parent).free // 1_048_576
    if free_mb < LOW_DISK_MB:
        text = f"only {free_mb} MiB are free where {path} is"
        yield Finding("warning", "journal", text, "make room, or: intercom-mux history --prune")
