"""The team daemon: one per team, the only one that opens surfaces, delivers messages and tells status.

Started by `up`, which hands it a plan over the control socket; ended by `down`. If it dies, messages wait at the
broker, panes run on, and the next `up` brings it back.
"""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.client.aio import read_frame
from intercom_mux.errors import IntercomError, TeamError
from intercom_mux.host import files
from intercom_mux.host.signals import on_stop
from intercom_mux.team import change, control_server, plan_file, revive
from intercom_mux.team import state as team_states
from intercom_mux.team.bring_up import bring_up
from intercom_mux.team.control import control_socket, failed
from intercom_mux.team.daemon_lock import become_sole_daemon
from intercom_mux.team.hook_call import answer_hook
from intercom_mux.team.plan import TeamPlan
from intercom_mux.team.running import RunningTeam
from intercom_mux.team.spare_daemon import LISTENS
from intercom_mux.team.typing_log import TypingLog
from intercom_mux.transcript import keeping, recording
from intercom_mux.wire.frames import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.team.state import TeamState

Json = dict[str, Any]
log = logging.getLogger("intercom_mux.team")

LOOK_BUSY_S = 0.1
LOOK_QUIET_S = 0.5
ORPHAN_S = 30.0
"""How long a daemon without a team waits for its first plan."""
REQUEST_S = 10.0
"""How long a request may take to come in."""


class Daemon:
    """Serves one team's control socket and keeps looking at the team."""

    def __init__(self, team_id: str) -> None:
        self.team_id = team_id
        self.running: RunningTeam | None = None
        self._recorder = recording.Keeper(team_id)
        self._typing_log = TypingLog(paths.private_dir(paths.team_state_dir(team_id)) / "typing.log")
        self._is_applying = asyncio.Lock()
        self._stopped = asyncio.Event()
        self._secret: str | None = None

    async def run(self, on_listening: Callable[[], None] = lambda: None) -> None:
        """Serve until stopped; a team that was left by another daemon is taken over first."""
        paths.private_dir(paths.runtime_dir())
        paths.private_dir(paths.team_runtime_dir(self.team_id))
        path = paths.socket_path(control_socket(self.team_id))
        files.remove(path)
        left = team_states.load(self.team_id)
        if left is not None and left.peers:
            await self._take_over(left)
        server, self._secret = await control_server.listen(path, self._serve)
        on_listening()
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._leave_if_unused())]
        try:
            await self._stopped.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            server.close()
            files.remove(path)
            if self.running is not None:
                await self.running.stop()
            self._recorder.leave()
            self._typing_log.close()

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()

    async def _begin(self, plan: TeamPlan) -> RunningTeam:
        """Begin a team of which nothing runs; the transcripts of an earlier life go on."""
        keeping.label(plan.id, plan.name, Path(plan.project))
        return await self._take_over(team_states.new_state(plan))

    async def _take_over(self, state: TeamState) -> RunningTeam:
        broker = await asyncio.to_thread(lifecycle.ensure_running)
        self.running = RunningTeam(state, broker, self._typing_log)
        if state.peers:
            with suppress(TeamError):
                self.running.arm(plan_file.recorded(state), state.peers)
        return self.running

    async def _watch(self) -> None:
        while True:
            is_busy = self.running is not None and self.running.is_busy
            await asyncio.sleep(LOOK_BUSY_S if is_busy else LOOK_QUIET_S)
            if self.running is not None:
                try:
                    self._keep_recorder()
                    await self.running.look()
                    await self._revive(self.running)
                except (IntercomError, OSError) as error:
                    log.warning("cannot look at the team: %s", error)

    def _keep_recorder(self) -> None:
        if self.running is not None and not self._stopped.is_set():
            self._recorder.keep()

    async def _revive(self, running: RunningTeam) -> None:
        """Start the peers again whose time has come, unless somebody is changing the team."""
        for name in revive.follow(running):
            if self._is_applying.locked():
                return
            async with self._is_applying:
                await revive.revive(running, name)

    async def _leave_if_unused(self) -> None:
        await asyncio.sleep(ORPHAN_S)
        if self.running is None:
            log.info("no plan came; leaving")
            self._clear()

    # -- control -------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def emit(frame: Json) -> None:
            if not writer.is_closing():
                writer.write(encode(frame))

        try:
            async with asyncio.timeout(REQUEST_S):
                request = await read_frame(reader)
            control_server.admit(request, self._secret)
            if request["type"] == "hook":
                await answer_hook(self.running, request, reader, writer)
            else:
                await self._answer(request, emit)
                await writer.drain()
                # Now that nobody waits for us.
                self._keep_recorder()
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except IntercomError as error:
            emit(failed(error))
        except Exception:
            log.exception("a request failed")
            text = f"the team daemon failed; see {paths.team_state_dir(self.team_id) / 'daemon.log'}"
            emit(failed(TeamError(text, code="E_INTERNAL")))
        finally:
            writer.close()

    async def _answer(self, request: Json, emit: Callable[[Json], None]) -> None:
        match request["type"]:
            case "apply":
                await self._apply(TeamPlan.from_json(request["plan"]), request, emit)
            case "add" | "kill" | "restart":
                await self._change(request, emit)
            case "stop":
                self.stop()
            case "ping":
                pass
            case other:
                raise IntercomError(f"unknown request {other!r}")
        emit({"type": "done"})

    async def _apply(self, plan: TeamPlan, request: Json, emit: Callable[[Json], None]) -> None:
        if plan.id != self.team_id:
            raise TeamError(f"this is the daemon of team {self.team_id}, not of {plan.id}", code="E_DAEMON")
        if self._is_applying.locked():
            emit({"type": "event", "event": "waiting"})
        async with self._is_applying:
            _take_environment(request["environment"])
            running = self.running or await self._begin(plan)
            running.state.notify = list(plan.notify)
            running.state.before_down = list(plan.before_down)
            try:
                await bring_up(running, plan, emit, wait_ready=request["wait"], failed=request.get("failed", {}))
            finally:
                if not running.state.peers:
                    await self._dissolve(running)

    async def _change(self, request: Json, emit: Callable[[Json], None]) -> None:
        async with self._is_applying:
            if self.running is None:
                raise TeamError(f"team {self.team_id} does not run", code="E_NO_TEAM", hint="run `intercom-mux up`")
            if "environment" in request:
                _take_environment(request["environment"])
            try:
                await change.carry_out(self.running, request, emit)
            finally:
                if not self.running.state.peers:
                    await self._dissolve(self.running)

    async def _dissolve(self, running: RunningTeam) -> None:
        """Leave nothing of a team that has no peers, ourselves included."""
        self.running = None
        await running.stop()
        await asyncio.to_thread(recording.stop, self.team_id)
        self._clear()

    def _clear(self) -> None:
        """Leave, and nothing on disk but logs."""
        shutil.rmtree(paths.team_runtime_dir(self.team_id), ignore_errors=True)
        shutil.rmtree(paths.peers_dir(self.team_id), ignore_errors=True)
        team_states.remove(self.team_id)
        self.stop()


def _take_environment(caller: dict[str, str]) -> None:
    """Make the caller's environment ours: what it exports now, agents started now must see."""
    os.environ.clear()
    os.environ.update(caller)
    os.environ.pop(paths.IDENTITY_VARIABLE, None)


def load_the_rest() -> None:
    """Import what every start of peers needs, while the command that started us still reads its layout."""
    import intercom_mux.agents.profile_file
    import intercom_mux.mux.tmux  # noqa: F401


def main() -> None:
    """Be the daemon of the team named as argument or on standard input; without a name leave.

    At most one runs per team; an ending one is waited for. Who starts one has written the team's state before, so that
    `down` finds it: where there is none, `down` has been quicker.
    """
    load_the_rest()
    team_id = sys.argv[1] if len(sys.argv) > 1 else sys.stdin.readline().strip()
    if not team_id:
        return
    os.umask(0o077)
    directory = paths.private_dir(paths.team_state_dir(team_id))
    with (directory / "daemon.log").open("ab") as errors:
        os.dup2(errors.fileno(), sys.stderr.fileno())
    logging.raiseExceptions = False
    handler = logging.handlers.RotatingFileHandler(directory / "daemon.log", maxBytes=1_000_000, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        become_sole_daemon(team_id)
        if keeping.is_up(team_id):
            asyncio.run(_run(team_id))
        else:
            log.info("the team is down; leaving")
    except Exception:
        log.exception("the daemon failed")
        raise


async def _run(team_id: str) -> None:
    daemon = Daemon(team_id)
    loop = asyncio.get_running_loop()
    on_stop(loop, daemon.stop)
    log.info("daemon of %s listens on %s", team_id, control_socket(team_id))
    await daemon.run(_tell_starter)
    log.info("daemon stopped")


def _tell_starter() -> None:
    """Say to who started us, if that is not a person's terminal, that we listen, and nothing any more."""
    if sys.stdout.isatty():
        return
    with suppress(OSError):
        os.write(sys.stdout.fileno(), LISTENS)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    main()
