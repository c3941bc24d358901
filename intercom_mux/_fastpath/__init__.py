"""The verbs that agents call all day, without click and without one Python module of the standard library.

`run` does the plain forms itself and hands everything else to click, which alone defines the language: help, unknown
options, `--json`, attachments, every refusal and every surprise. What is handed over after a message was written goes
on under the same id, so nothing is sent twice. docs/ARCHITECTURE.md, "Starting fast", has the figures.
"""

from __future__ import annotations

import sys

from intercom_mux._fastpath.caller import has_child_requests, has_config, identity
from intercom_mux._fastpath.line import Line
from intercom_mux._fastpath.verbs import VERBS
from intercom_mux._fastpath.words import parse
from intercom_mux.cli import text


class HandOver(Exception):
    """Let click do it: `arguments` are what it gets."""

    def __init__(self, arguments: list[str]) -> None:
        super().__init__(arguments)
        self.arguments = arguments


def _may_ask_first(verb: str) -> bool:
    """Whether a person at a terminal has a configuration, which may want a `send` to be confirmed."""
    return verb == "send" and sys.stdin is not None and sys.stdin.isatty() and has_config()


def run(arguments: list[str]) -> int:
    """Carry a plain call out and return its exit code.

    Raises:
        HandOver: It is not plain, no broker answers, or something unusual happened; nothing has been printed.
        IntercomError: An ask has ended without a reply, or what was printed could not be marked as read.
    """
    call = parse(arguments)
    # On a terminal `ask` shows that it waits.
    if call is None or (arguments[0] == "ask" and sys.stderr.isatty()) or _may_ask_first(arguments[0]):
        raise HandOver(arguments)
    if arguments[0] in ("pending", "reply") and has_child_requests():
        raise HandOver(arguments)
    try:
        line = Line(identity())
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise HandOver(arguments) from error
    call["again"] = arguments
    try:
        VERBS[arguments[0]](line, call)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise HandOver(call["again"]) from error
    finally:
        line.close()
    if line.is_shell:
        text.note_waiting(line.waiting)
    return 0
