"""Telling people that a peer needs them: when, decided purely (`Alarm`), and how (`Notifier`).

A notice comes once for every stretch in which a peer is blocked, not before it has lasted `STEADY_S`, and not more
often than every `REPEAT_S` for one peer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from intercom_mux.errors import IntercomError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from intercom_mux.mux.base import Multiplexer
    from intercom_mux.team.state import TeamState

STEADY_S = 1.0
REPEAT_S = 10.0
COMMAND_S = 10.0
"""How long a `notify` command may take; then it is killed with what it started."""
COMMANDS = 4
"""How many of them may run at a time; what comes beyond is left out, and logged."""
log = logging.getLogger("intercom_mux.team")


class Alarm:
    """Decides for whom a person is called. Pure; times are seconds of any one clock."""

    def __init__(self) -> None:
        self.blocked: frozenset[str] = frozenset()
        """The peers that are blocked now."""
        self._since: dict[str, float] = {}
        self._told: set[str] = set()
        self._last: dict[str, float] = {}

    def due(self, statuses: Mapping[str, str], now: float) -> list[str]:
        """Take how all peers are, and return those to be told of now."""
        self.blocked = frozenset(name for name, status in statuses.items() if status.startswith("blocked"))
        self._told &= self.blocked
        self._since = {name: self._since.get(name, now) for name in self.blocked}
        due = [
            name
            for name in statuses
            if name in self.blocked
            and name not in self._told
            and now - self._since[name] >= STEADY_S
            and now - self._last.get(name, now - REPEAT_S) >= REPEAT_S
        ]
        self._told |= set(due)
        self._last |= dict.fromkeys(due, now)
        return due


def command(words: Sequence[str], facts: Mapping[str, str]) -> list[str]:
    """Return the command line of a layout's `notify` with {peer}, {status} and {team} put in.

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
    """Calls people for one team: bell, pane border, status line, and the layout's own command. Never blocks."""

    def __init__(self, team: TeamState, mux: Multiplexer) -> None:
        self._team = team
        self._mux = mux
        self._alarm = Alarm()
        self._mark = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands = 0

    def look(self, statuses: Mapping[str, str]) -> None:
        """Take how all peers are; returns at once."""
        due = self._alarm.due(statuses, time.monotonic())
        count = len(self._alarm.blocked)
        mark = f"{count} blocked" if count else ""
        if mark != self._mark or due:
            self._mark = mark
            self._spawn(self._show(mark, {name: statuses[name] for name in due}))
        for name in due:
            log.info("%s is %s", name, statuses[name])
            if self._team.notify:
                self._spawn(self._run(name, statuses[name]))

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _show(self, mark: str, due: Mapping[str, str]) -> None:
        try:
            await asyncio.to_thread(self._mux.mark, mark)
            for name, status in due.items():
                peer = self._team.peers.get(name)
                if peer is not None and peer.surface:
                    await asyncio.to_thread(self._mux.show, peer.surface, f"{status}: it waits for you")
            if due:
                await asyncio.to_thread(self._mux.ring)
        except (IntercomError, OSError) as error:
            log.warning("cannot show who is blocked: %s", error)

    async def _run(self, peer: str, status: str) -> None:
        if self._commands >= COMMANDS:
            log.warning("notify: too many commands run already; left out for %s", peer)
            return
        self._commands += 1
        try:
            await _carry_out(command(self._team.notify, {"peer": peer, "status": status, "team": self._team.name}))
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
        *argv, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
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
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
