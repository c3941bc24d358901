"""Telling people what they want to know at once: by bell, pane border, status line, desktop, the layout's command.

What and when is `team/alarm.py`'s to decide.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from intercom_mux.errors import IntercomError
from intercom_mux.host import process as host
from intercom_mux.team import alarm, notice_rules, summary

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Mapping, Sequence

    from intercom_mux.mux.base import Multiplexer
    from intercom_mux.team.state import TeamState

Json = dict[str, Any]

COMMAND_S = 10.0
"""How long a `notify` command may take; then it is killed with what it started."""
COMMANDS = 4
"""How many of them may run at a time; what comes beyond is left out, and logged."""
log = logging.getLogger("intercom_mux.team")


def command(words: Sequence[str], facts: Mapping[str, str]) -> list[str]:
    """Return the command line of a layout's `notify` with {event}, {peer}, {status}, {task} and {team} put in.

    In the text of `sh -c` each value is one quoted word.
    """
    is_shell = list(words[:2]) == ["sh", "-c"]
    filled = []
    for index, word in enumerate(words):
        for key, value in facts.items():
            word = word.replace("{" + key + "}", shlex.quote(value) if is_shell and index == 2 else value)
        filled.append(word)
    return filled


class Notifier:
    """Calls people for one team, not for what became of a task before `since_ms`, Unix time. Never blocks."""

    def __init__(self, team: TeamState, mux: Multiplexer, since_ms: int) -> None:
        self._team = team
        self._mux = mux
        self._alarm = alarm.Alarm()
        self._since_ms = since_ms
        self._knows_tasks = False
        self._wants_desktop = notice_rules.load_or_default().desktop
        self._mark = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands = 0

    def look(
        self,
        statuses: Mapping[str, str],
        tasks: Collection[Json] | None = None,
        asks: Collection[alarm.Condition] = (),
    ) -> None:
        """Take how all peers and tasks are, None for tasks not known yet, and the asks to a person; returns at once."""
        if tasks is not None and not self._knows_tasks:
            self._knows_tasks = True
            self._alarm.skip(alarm.of_tasks(task for task in tasks if task["updated_at"] < self._since_ms))
        due = self._alarm.due([*alarm.of_peers(statuses), *alarm.of_tasks(tasks or ()), *asks], time.monotonic())
        mark = summary.mark(statuses, tasks or ())
        if mark != self._mark or due:
            self._mark = mark
            self._spawn(self._show(mark, due))
        for notice in due:
            log.info("%s: %s", notice.peer, notice.text)
            if self._team.notify:
                self._spawn(self._run(command(self._team.notify, self._facts(notice)), notice.peer))
            if self._wants_desktop:
                title = f"{self._team.name}: {notice.peer}"
                self._spawn(self._run(notice_rules.desktop_command(title, notice.text), notice.peer))

    def _facts(self, notice: alarm.Notice) -> dict[str, str]:
        return {
            "event": notice.event,
            "peer": notice.peer,
            "status": notice.status,
            "task": notice.task,
            "team": self._team.name,
        }

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _show(self, mark: str, due: Sequence[alarm.Notice]) -> None:
        try:
            await asyncio.to_thread(self._mux.mark, mark)
            for notice in due:
                peer = self._team.peers.get(notice.peer)
                # An ask is shown by the inbox route already, with its words.
                if peer is not None and peer.surface and notice.event != "supervisor":
                    await asyncio.to_thread(self._mux.show, peer.surface, notice.text)
            if due:
                await asyncio.to_thread(self._mux.ring)
        except (IntercomError, OSError) as error:
            log.warning("cannot show what there is to know: %s", error)

    async def _run(self, argv: Sequence[str], peer: str) -> None:
        if not argv:
            return
        if self._commands >= COMMANDS:
            log.warning("notify: too many commands run already; left out for %s", peer)
            return
        self._commands += 1
        try:
            await _carry_out(argv)
        except OSError as error:
            log.warning("notify: %s", error)
        finally:
            self._commands -= 1


async def _carry_out(argv: Sequence[str]) -> None:
    """Run a command, and log how it failed if it did.

    Raises:
        OSError: It cannot be started.
    """
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True, creationflags=host.DETACHED
    )
    try:
        async with asyncio.timeout(COMMAND_S):
            status = await process.wait()
        if status:
            log.warning("notify: %s ended with %d", argv[0], status)
    except TimeoutError:
        log.warning("notify: %s did not end within %g s", argv[0], COMMAND_S)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                host.end_group(process.pid, force=True)
            await process.wait()
