"""cmux: surfaces beside the one we were called from, in the user's own app. Opens, types into and closes only its own.

Workspace and surface are named in every call, by UUID, and what cmux says it acted on is compared with what was meant.
The focus stays where it was. `docs/ARCHITECTURE.md` ("cmux") says what is known, and that no real one was tried.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import time
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from intercom_mux.errors import MultiplexerError
from intercom_mux.layout.model import Arrangement
from intercom_mux.mux import cmux_errors, cmux_place, cmux_record, cmux_sidebar
from intercom_mux.mux.base import typeable
from intercom_mux.mux.cmux_client import CALL_LIMIT_S, CmuxClient, run_cli
from intercom_mux.mux.cmux_recognise import Cmux, here, recognise
from intercom_mux.mux.preflight import check_spec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from intercom_mux.mux.base import SurfaceSpec, SurfaceState
    from intercom_mux.mux.cmux_place import How
    from intercom_mux.mux.cmux_record import Record

Json = dict[str, Any]

INITIAL_COMMAND_SINCE = (0, 64, 22)
"""From here on a split can run a program in place of the shell; earlier it is typed into the shell."""
START_LIMIT_S = 20.0
_SHELL_LIMIT_S = 5.0
_SHELL_STEADY_S = 0.3
_ENTER_PAUSE_S = 0.05
_ENTER_AGAIN_S = 1.5
_POLL_S = 0.02
_DAEMON = "daemon"


class CmuxMultiplexer:
    """Surfaces in the cmux app behind `socket`, kept in the private `directory` (made at the first `open`).

    Args:
        limit_s: Seconds until a call is given up; the start of a program has `START_LIMIT_S`.
    """

    name = "cmux"
    owns_server = False

    def __init__(self, directory: Path, socket: Path, *, limit_s: float = CALL_LIMIT_S) -> None:
        self._directory = directory
        self._client = CmuxClient(socket, limit_s)
        self._limit_s = limit_s

    @cached_property
    def _app(self) -> Cmux:
        return recognise()

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self, session: str, arrange: Arrangement | str, specs: Sequence[SurfaceSpec]) -> dict[str, str]:  # noqa: ARG002 - no place shows the team's name
        """Open surfaces, the first ones beside the surface that the environment names, later ones beside ours.

        Raises:
            MultiplexerError: We are not inside cmux, it refused, or a program was not started in `START_LIMIT_S`.
        """
        if not specs:
            return {}
        for spec in specs:
            check_spec(spec)
        arrangement = Arrangement.of(arrange)
        by_name = {spec.name: spec for spec in specs}
        live = self._live_records()
        places = {record.name: record for record in live}
        if live:
            steps = cmux_place.joining(arrangement, list(by_name), live[-1].name)
        else:
            steps = cmux_place.steps(arrangement, list(by_name))
        focused = self._focused()
        opened: dict[str, Record] = {}
        try:
            for step in steps:
                beside = places[step.beside] if step.beside is not None else None
                directory = cmux_record.prepare(self._directory, by_name[step.peer])
                opened[step.peer] = places[step.peer] = self._split(directory, beside, step.how)
                self._start(opened[step.peer])
        except BaseException:
            for record in opened.values():
                with suppress(MultiplexerError):
                    self._close(record)
            raise
        finally:
            self._give_back(focused)
        return {spec.name: opened[spec.name].surface for spec in specs}

    def open_daemon(self, spec: SurfaceSpec) -> None:
        """Open the surface of the team's daemon below the one we are called from; it closes when its program ends.

        It is none of the team's surfaces: `states` does not tell it and `shutdown` leaves it.
        """
        check_spec(spec)
        focused = self._focused()
        directory = cmux_record.prepare(self._directory.parent / f"{self._directory.name}-{_DAEMON}", spec, stays=False)
        try:
            record = self._split(directory, None, "down")
            try:
                self._start(record)
            except BaseException:
                with suppress(MultiplexerError):
                    self._close(record)
                raise
        finally:
            self._give_back(focused)

    def _split(self, directory: Path, beside: Record | None, how: How) -> Record:
        """Make a surface for what was prepared, and write down which it is."""
        if beside is None:
            surface, workspace = here()
        else:
            surface, workspace = beside.surface, beside.workspace
        params: Json = {"workspace_id": workspace, "focus": False}
        if self._runs_commands:
            params["initial_command"] = shlex.quote(str(directory / "launch"))
            params["working_directory"] = str(directory)
        if how == "tab" and beside is not None:
            result = self._client.call("surface.create", {**params, "pane_id": beside.pane}, what="open a tab")
        else:
            # Asked first: cmux 0.62 takes the focused surface for one that it does not know.
            self._must_exist(surface, workspace)
            params |= {"surface_id": surface, "direction": "down" if how == "down" else "right"}
            result = self._client.call("surface.split", params, what="split a surface")
        new = str(result.get("surface_id") or "")
        if not new or new == surface or result.get("workspace_id") != workspace:
            raise MultiplexerError(f"cmux opened {result!r}, which is not what was asked for", surface=surface)
        return cmux_record.keep(directory, surface=new, workspace=workspace, pane=str(result.get("pane_id") or ""))

    @property
    def _runs_commands(self) -> bool:
        return self._app.version >= INITIAL_COMMAND_SINCE

    def _start(self, record: Record) -> None:
        """Have the launcher run; returns once it does, with the peer's name as the surface's title."""
        deadline = time.monotonic() + START_LIMIT_S
        if not self._runs_commands:
            self._type_launch(record)
        again = time.monotonic() + _ENTER_AGAIN_S
        while not record.pid:
            if time.monotonic() > deadline:
                raise MultiplexerError(
                    f"{record.name}: cmux did not start it within {START_LIMIT_S:g} s",
                    hint="look at its surface; if its workspace was never shown, open it once, then try again",
                    peer=record.name,
                    surface=record.surface,
                )
            if not self._runs_commands and time.monotonic() > again:
                # Enter alone: a line that is typed twice would be run twice.
                self._send("surface.send_key", record, {"key": "enter"}, "press Enter")
                again = time.monotonic() + _ENTER_AGAIN_S
            time.sleep(_POLL_S)
        with suppress(MultiplexerError):
            self._cli("rename-tab", "--workspace", record.workspace, "--surface", record.surface, record.name)

    def _type_launch(self, record: Record) -> None:
        """Type one short line into the shell of the new surface, once that has drawn its prompt."""
        deadline = time.monotonic() + _SHELL_LIMIT_S
        seen, since = "", time.monotonic()
        while time.monotonic() < deadline and not (seen.strip() and time.monotonic() - since > _SHELL_STEADY_S):
            with suppress(MultiplexerError):
                screen = self._read(record)
                if screen != seen:
                    seen, since = screen, time.monotonic()
            time.sleep(_POLL_S)
        line = f" exec {shlex.quote(str(record.directory / 'launch'))}"
        self._send("surface.send_text", record, {"text": line}, "type the start command")
        time.sleep(_ENTER_PAUSE_S)
        self._send("surface.send_key", record, {"key": "enter"}, "press Enter")

    # -- looking -------------------------------------------------------------------------------------------------

    def states(self) -> dict[str, SurfaceState] | None:
        """Return every surface of ours that cmux still has, or None when nothing is open or cmux has ended.

        `pid` is the launcher's, the program's parent, which lives until the surface is closed.
        """
        kept = cmux_record.records(self._directory)
        if kept is None:
            return None
        try:
            present = self._present(kept)
        except MultiplexerError as error:
            if error.code == cmux_errors.NOT_RUNNING:
                return None
            raise
        return {record.surface: record.state() for record in kept if record.pid and record.surface in present}

    def _present(self, kept: Sequence[Record]) -> set[str]:
        """Return all surfaces that exist in the workspaces of `kept`."""
        present: set[str] = set()
        for workspace in dict.fromkeys(record.workspace for record in kept):
            try:
                rows = self._client.call("surface.list", {"workspace_id": workspace}, what="list surfaces")["surfaces"]
            except MultiplexerError as error:
                if error.code != "E_SURFACE_GONE":
                    raise
                continue
            present |= {row["id"] for row in rows}
        return present

    def _live_records(self) -> list[Record]:
        live = self.states() or {}
        return [record for record in cmux_record.records(self._directory) or () if record.surface in live]

    def capture(self, surface: str, history: int = 0) -> str:
        record = self._get(surface)
        lines = [line.rstrip() for line in self._read(record).split("\n")]
        if history:
            every = [line.rstrip() for line in self._read(record, scrollback=True).split("\n")]
            lines = every[-(len(lines) + history) :]
        return "\n".join(lines).rstrip("\n")

    def _read(self, record: Record, *, scrollback: bool = False) -> str:
        params = {"scrollback": True} if scrollback else {}
        result = self._send("surface.read_text", record, params, "read the screen")
        return str(result.get("text") or "")

    # -- typing --------------------------------------------------------------------------------------------------

    def paste(self, surface: str, text: str) -> None:
        """Put the text in by the launcher, bracketed if the program asked for it.

        Not by cmux: that writes a line end as Enter and a tab as the key, and an `ESC[200~` never arrives.
        """
        record = self._takes_input(surface)
        text = typeable(text)
        if text:
            self._put(record, f"\x1b[200~{text}\x1b[201~" if record.is_bracketed else text)

    def press_enter(self, surface: str) -> None:
        self._put(self._takes_input(surface), "\r")

    def _put(self, record: Record, text: str) -> None:
        try:
            record.put(text.encode(), self._limit_s)
        except TimeoutError as error:
            raise MultiplexerError(
                f"{record.name} does not read what is typed", code="E_OUTCOME_UNKNOWN", surface=record.surface
            ) from error
        except OSError as error:
            raise MultiplexerError(
                f"surface {record.surface} is gone", code="E_SURFACE_GONE", surface=record.surface
            ) from error

    def _takes_input(self, surface: str) -> Record:
        record = self._get(surface)
        if record.exit_status is not None:
            raise MultiplexerError(
                f"surface {surface} takes no input: its program has ended", code="E_SURFACE_BUSY", surface=surface
            )
        return record

    def _send(self, method: str, record: Record, params: Json, what: str) -> Json:
        """Call a method on a surface and check that it is the one that cmux acted on."""
        where = {"workspace_id": record.workspace, "surface_id": record.surface}
        result = self._client.call(method, {**where, **params}, what=f"{what} in {record.name}")
        hit = result.get("surface_id", record.surface)
        if hit != record.surface:
            raise MultiplexerError(
                f"cmux acted on surface {hit} in place of {record.surface}",
                code="E_OUTCOME_UNKNOWN",
                surface=record.surface,
            )
        return result

    def _get(self, surface: str) -> Record:
        """Return the record of a surface of ours that exists now."""
        for record in cmux_record.records(self._directory) or ():
            if record.surface == surface:
                self._must_exist(surface, record.workspace)
                return record
        raise MultiplexerError(f"no such surface: {surface!r}", code="E_SURFACE_GONE", surface=surface)

    def _must_exist(self, surface: str, workspace: str) -> None:
        rows = self._client.call("surface.list", {"workspace_id": workspace}, what="list surfaces")["surfaces"]
        if not any(row["id"] == surface for row in rows):
            raise MultiplexerError(f"surface {surface} is gone", code="E_SURFACE_GONE", surface=surface)

    # -- people --------------------------------------------------------------------------------------------------

    def show(self, surface: str, text: str) -> None:
        """Raise a notification that leads to the surface."""
        record = self._get(surface)
        body = " ".join(typeable(text).split())
        self._send("notification.create", record, {"title": record.name, "body": body}, "notify")

    def ring(self) -> None:
        """Do nothing: the notifications of `show` are heard already."""

    def mark(self, text: str) -> None:
        """Keep `text` in the workspace's sidebar."""
        self.tell("intercom", text)

    def tell(self, key: str, text: str) -> None:
        """Keep a status named `key` in the sidebar of our workspace, "" to take it away."""
        self._sidebar(cmux_sidebar.status(key, text))

    def progress(self, fraction: float | None, label: str) -> None:
        """Show the workspace's only progress bar; None takes it away, if it is ours."""
        ours = self._directory / "progress"
        if fraction is None and not ours.exists():
            return
        self._sidebar(cmux_sidebar.progress(fraction, label))
        if fraction is None:
            ours.unlink(missing_ok=True)
        elif self._directory.exists():
            ours.touch()

    def note(self, level: str, text: str) -> None:
        """Add a line to the workspace's log in the sidebar."""
        self._sidebar(cmux_sidebar.note(level, text))

    def _sidebar(self, line: cmux_sidebar.Line) -> None:
        kept = cmux_record.records(self._directory)
        if kept:
            self._client.line(line(kept[0].workspace), what="show something in the sidebar")

    # -- ending --------------------------------------------------------------------------------------------------

    def close(self, surface: str) -> None:
        for record in cmux_record.records(self._directory) or ():
            if record.surface == surface:
                self._close(record)

    def _close(self, record: Record) -> None:
        """Close a surface of ours. The last one of a workspace is kept by cmux: there the program alone is ended."""
        where = {"workspace_id": record.workspace, "surface_id": record.surface}
        try:
            self._must_exist(record.surface, record.workspace)
            self._client.call("surface.close", where, what=f"close the surface of {record.name}")
        except MultiplexerError as error:
            if error.code == cmux_errors.LAST_SURFACE and record.pid:
                with suppress(ProcessLookupError):
                    os.kill(record.pid, signal.SIGHUP)
            elif error.code not in ("E_SURFACE_GONE", cmux_errors.NOT_RUNNING):
                raise
        record.forget()

    def shutdown(self) -> None:
        """Close every surface of ours, and take our lines from the sidebar; idempotent.

        Raises:
            MultiplexerError: cmux does not let us; `left` in fields names the surfaces that remain. Their programs are
                the caller's to end, and cmux closes a surface whose program has ended.
        """
        kept = cmux_record.records(self._directory) or []
        with suppress(MultiplexerError):
            for key in ("intercom", *(f"intercom-{record.name}" for record in kept)):
                self.tell(key, "")
            self.progress(None, "")
        left: list[str] = []
        problem: MultiplexerError | None = None
        for record in kept:
            try:
                self._close(record)
            except MultiplexerError as error:
                left.append(f"{record.name} ({record.surface})")
                problem = error
        if problem is not None:
            raise MultiplexerError(
                f"these cmux surfaces are left: {', '.join(left)}; {problem.message}", hint=problem.hint, left=left
            )
        shutil.rmtree(self._directory, ignore_errors=True)

    def server_pid(self) -> int | None:
        """Return None: the app is the user's, and never ours to end."""
        return None

    def attach_argv(self, surface: str | None = None) -> list[str]:
        kept = cmux_record.records(self._directory) or []
        for record in kept:
            if surface in (None, record.surface):
                return attach_argv(record)
        if surface is not None:
            raise MultiplexerError(f"no such surface: {surface!r}", code="E_SURFACE_GONE", surface=surface)
        return ["cmux", "list-workspaces"]

    # -- focus ---------------------------------------------------------------------------------------------------

    def _focused(self) -> Json:
        with suppress(MultiplexerError):
            return dict(self._client.call("system.identify", {}).get("focused") or {})
        return {}

    def _give_back(self, before: Json) -> None:
        """Give the focus back to where it was, if opening took it against our word."""
        now = self._focused()
        if before and now and now.get("surface_id") != before.get("surface_id"):
            with suppress(MultiplexerError):
                self._cli("focus-panel", "--workspace", before["workspace_id"], "--panel", before["surface_id"])

    def _cli(self, *words: str) -> str:
        return run_cli(self._app.program, *words, socket=self._client.socket)


def attach_argv(record: Record) -> list[str]:
    """Return the command that shows a surface to a person who is in cmux."""
    return ["cmux", "focus-panel", "--workspace", record.workspace, "--panel", record.surface]
