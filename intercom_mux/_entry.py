"""The console script: the fast path first, else click, and one way out for every error.

Imports nothing but `sys` until it knows what is called (tests/test_import_budget.py).
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from intercom_mux.errors import IntercomError

FAST_VERBS = ("send", "ask", "reply", "pending", "inbox", "progress")
UP_FLAGS = frozenset(("--attach", "--no-wait", "--json"))
UP_VALUES = frozenset(("--agent", "--var"))
"""The options of an `up` that starts a team; any other word that begins so means help, a look, or a mistake."""
CRASH_LOG_MAX_BYTES = 1_000_000


def main(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; stdout is flushed.

    Exit codes are those of errors.py, 2 for usage, 70 for a fault of ours, 130 after Ctrl-C, 141 for a closed pipe.
    """
    if arguments is None:
        arguments = sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        from intercom_mux.cli.text import INTERRUPTED_EXIT

        return INTERRUPTED_EXIT
    except BrokenPipeError:
        from intercom_mux.cli.text import BROKEN_PIPE_EXIT, silence_stdout

        silence_stdout()
        return BROKEN_PIPE_EXIT
    except Exception as error:
        from intercom_mux.errors import IntercomError

        if isinstance(error, IntercomError):
            return _tell(error, arguments)
        return _crashed(error)
    return code


def _run(arguments: list[str]) -> int:
    if arguments and arguments[0] == "hook":
        return _run_hook(arguments[1:])
    if arguments and arguments[0] in FAST_VERBS:
        arguments_left = _run_fast(arguments)
        if isinstance(arguments_left, int):
            return arguments_left
        arguments = arguments_left
    if arguments and arguments[0] == "up" and may_start_team(arguments[1:]):
        return _run_up(arguments)
    from intercom_mux.cli.main import run

    return run(arguments)


def may_start_team(words: list[str]) -> bool:
    """Return whether `up` with these words needs a daemon soon, as far as a look at them tells: click decides."""
    layout = ""
    rest = iter(words)
    for word in rest:
        option, is_joined, _ = word.partition("=")
        if option in UP_VALUES:
            if not is_joined and next(rest, None) is None:
                return False
        elif word not in UP_FLAGS:
            if word.startswith("-") or layout:
                return False
            layout = word
    if not layout.endswith((".yaml", ".yml")):
        return True
    import os

    return os.path.exists(layout)


def _run_up(arguments: list[str]) -> int:
    """Start the team daemon's process before click and the layout's modules are loaded: both take as long."""
    from intercom_mux.team.spare_daemon import SpareDaemon

    with SpareDaemon() as spare:
        from intercom_mux.cli.main import run

        return run(arguments, spare)


def _run_hook(words: list[str]) -> int:
    """Never fails, whatever the agent's hook runs us with; `hook --help` alone is for people."""
    if words in (["-h"], ["--help"]):
        from intercom_mux.cli.main import run

        return run(["hook", *words])
    try:
        from intercom_mux import _hook
    except ImportError:
        # A Python without these private C modules: an agent is better off without us than broken.
        return 0
    return _hook.run(words)


def _run_fast(arguments: list[str]) -> int | list[str]:
    """Return the exit code of a call that was plain enough, else the arguments that are left to click."""
    try:
        from intercom_mux import _fastpath
    except ImportError:
        # Another Python than CPython may lack its private C modules.
        return arguments
    try:
        return _fastpath.run(arguments)
    except _fastpath.HandOver as handed_over:
        return handed_over.arguments


def _tell(error: IntercomError, arguments: list[str]) -> int:
    """Show an error: with `--json` as one object on stdout, else in words on stderr."""
    from intercom_mux.cli import text

    if text.wants_json(arguments):
        import json

        text.emit(json.dumps(error.to_json(), ensure_ascii=False, indent=2))
    else:
        text.note(text.problem(error.message, error.hint))
    return error.exit_code


def _crashed(error: Exception) -> int:
    """Say in one line that this is our fault, and keep the traceback where it can be found."""
    import traceback

    from intercom_mux.cli import text

    story = "".join(traceback.format_exception(error))
    try:
        where = _keep(story)
    except Exception:  # the one place where nothing may fail
        text.note(story)
        where = "above"
    text.note(f"error: unexpected {type(error).__name__}: {text.one_line(str(error))} (traceback: {where})")
    return text.CRASH_EXIT


def _keep(story: str) -> str:
    import os
    import time

    from intercom_mux import paths

    file = paths.private_dir(paths.state_dir()) / "crash.log"
    is_full = file.exists() and file.stat().st_size > CRASH_LOG_MAX_BYTES
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if is_full else os.O_APPEND)
    with os.fdopen(os.open(file, flags, 0o600), "w", errors="replace") as log:
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} pid {os.getpid()}\n{story}\n")
    return str(file)
