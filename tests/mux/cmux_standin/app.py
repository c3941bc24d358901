"""The app of the stand-in: `python -m tests.mux.cmux_standin.app SOCKET JSON`. See the package's docstring.

SOCKET.control takes the same requests without any check of access, and `standin.set` and `standin.look` besides.
"""

from __future__ import annotations

import asyncio
import base64
import ctypes
import dataclasses
import json
import os
import shlex
import signal
import socket
import struct
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.mux.cmux_standin.profiles import PROFILES
from tests.mux.cmux_standin.terminal import Terminal, key_bytes, typed

Json = dict[str, Any]
CAPABILITY = "standin-capability"


@dataclass
class Faults:
    """What goes wrong; changed at any time by `standin.set`."""

    slow_pty_s: float = 0
    drop_enters: int = 0
    unanswered: list[str] = field(default_factory=list)
    steals_focus: bool = False
    refuses: Json = field(default_factory=dict)
    """Method → [code, message]."""


class Refusal(Exception):
    """An answer with `ok: false`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(eq=False)
class Thing:
    """A window, workspace, pane or surface."""

    kind: str
    number: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()).upper())

    @property
    def ref(self) -> str:
        return f"{self.kind}:{self.number}"

    def ids(self) -> Json:
        return {f"{self.kind}_id": self.id, f"{self.kind}_ref": self.ref}


@dataclass(eq=False)
class Surface(Thing):
    pane: Pane = None  # type: ignore[assignment]  # set by its maker at once
    terminal: Terminal | None = None
    waiting: bytes = b""
    renamed: str = ""
    command: str | None = None
    cwd: str = ""

    @property
    def title(self) -> str:
        own = self.terminal.screen.title if self.terminal else ""
        return self.renamed or own or "Terminal"


@dataclass(eq=False)
class Pane(Thing):
    workspace: Workspace = None  # type: ignore[assignment]  # set by its maker at once
    surfaces: list[Surface] = field(default_factory=list)


@dataclass(eq=False)
class Workspace(Thing):
    title: str = ""
    cwd: str = ""
    panes: list[Pane] = field(default_factory=list)
    status: dict[str, str] = field(default_factory=dict)
    progress: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def surfaces(self) -> list[Surface]:
        return [surface for pane in self.panes for surface in pane.surfaces]


class App:
    """All state, and what each request does to it."""

    def __init__(self, path: str, settings: Json) -> None:
        self.path = path
        self.profile = PROFILES[settings["version"]]
        self.mode = settings.get("mode", "cmuxOnly")
        self.password = settings.get("password", "")
        self.faults = Faults(**settings.get("faults", {}))
        self.extra_env = settings.get("env", {})
        self.notes: list[Json] = []
        self.flashed: list[str] = []
        self._counts: dict[str, int] = {}
        self.window = Thing("window", self._next("window"))
        self.workspaces: list[Workspace] = []
        workspace = self._new_workspace("main", settings.get("cwd", "/"))
        self.workspace = workspace
        self.focused = workspace.surfaces[0]

    # -- making and ending ---------------------------------------------------------------------------------------

    def _next(self, kind: str) -> int:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return self._counts[kind]

    def _new_workspace(self, title: str, cwd: str, command: str | None = None) -> Workspace:
        workspace = Workspace("workspace", self._next("workspace"), title=title, cwd=cwd)
        self.workspaces.append(workspace)
        self._new_surface(self._new_pane(workspace), {"initial_command": command})
        return workspace

    def _new_pane(self, workspace: Workspace) -> Pane:
        pane = Pane("pane", self._next("pane"), workspace=workspace)
        workspace.panes.append(pane)
        return pane

    def _new_surface(self, pane: Pane, params: Json) -> Surface:
        surface = Surface("surface", self._next("surface"), pane=pane, cwd=pane.workspace.cwd)
        pane.surfaces.append(surface)
        obeys = self.profile.has_initial_command
        surface.command = params.get("initial_command") if obeys else None
        surface.cwd = (params.get("working_directory") if obeys else None) or pane.workspace.cwd
        more = (params.get("startup_environment") or {}) if obeys else {}
        if params.get("initial_input") and self.profile.has_command_flag:
            surface.waiting = typed(params["initial_input"])
        env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("CMUX_")},
            **self.extra_env,
            "CMUX_WORKSPACE_ID": pane.workspace.id,
            "CMUX_TAB_ID": pane.workspace.id,
            "CMUX_SURFACE_ID": surface.id,
            "CMUX_PANEL_ID": surface.id,
            "CMUX_SOCKET_PATH": self.path,
            "TERM": "xterm-256color",
            "TERM_PROGRAM": "ghostty",
            **more,
        }

        def begin() -> None:
            surface.terminal = Terminal(surface.command, surface.cwd, env, lambda: self._close(surface, by_exit=True))
            surface.terminal.write(surface.waiting)

        if self.faults.slow_pty_s:
            asyncio.get_running_loop().call_later(self.faults.slow_pty_s, begin)
        else:
            begin()
        return surface

    def _close(self, surface: Surface, *, by_exit: bool = False) -> None:
        workspace = surface.pane.workspace
        if surface not in surface.pane.surfaces:
            return
        if surface.terminal is not None:
            surface.terminal.close()
        surface.pane.surfaces.remove(surface)
        if not surface.pane.surfaces:
            workspace.panes.remove(surface.pane)
        if by_exit and not workspace.surfaces:
            self._new_surface(self._new_pane(workspace), {})
        if self.focused is surface:
            self.focused = workspace.surfaces[0]

    # -- finding -------------------------------------------------------------------------------------------------

    def _find_workspace(self, params: Json) -> Workspace:
        handle = params.get("workspace_id")
        if handle is None:
            surface = self._by_handle(params.get("surface_id"))
            return surface.pane.workspace if surface else self.workspace
        for workspace in self.workspaces:
            if handle in (workspace.id, workspace.ref):
                return workspace
        raise Refusal("not_found", "Workspace not found")

    def _by_handle(self, handle: str | None) -> Surface | None:
        for workspace in self.workspaces:
            for surface in workspace.surfaces:
                if handle in (surface.id, surface.ref):
                    return surface
        return None

    def _find_surface(self, params: Json, missing: str = "Surface not found") -> Surface:
        handle = params.get("surface_id")
        surface = self.focused if handle is None else self._by_handle(handle)
        if surface is None and self.profile.falls_back_to_focus:
            surface = self.focused
        if surface is None:
            raise Refusal("not_found", missing)
        if params.get("workspace_id") and surface not in self._find_workspace(params).surfaces:
            raise Refusal("invalid_params", "Surface is not a terminal")
        return surface

    def _ids(self, surface: Surface) -> Json:
        return {**self.window.ids(), **surface.pane.workspace.ids(), **surface.ids()}

    # -- v2 ------------------------------------------------------------------------------------------------------

    def call(self, method: str, params: Json) -> Json:
        if method in self.faults.refuses:
            raise Refusal(*self.faults.refuses[method])
        handler = getattr(self, "do_" + method.replace(".", "_"), None)
        if handler is None:
            raise Refusal("invalid_request", f"Unknown method {method}")
        result: Json = handler(params)
        return result

    def do_system_ping(self, params: Json) -> Json:
        return {"pong": True}

    def do_system_capabilities(self, params: Json) -> Json:
        methods = sorted(name[3:].replace("_", ".", 1) for name in dir(self) if name.startswith("do_"))
        methods = [name for name in methods if not name.startswith("standin")]
        about = {"protocol": "cmux-socket", "version": 2, "socket_path": self.path}
        return {**about, "access_mode": self.mode, "methods": methods}

    def do_system_identify(self, params: Json) -> Json:
        caller = self._by_handle((params.get("caller") or {}).get("surface_id"))
        seen = {"socket_path": self.path, "focused": {**self._ids(self.focused), **self.focused.pane.ids()}}
        return {**seen, "caller": {**self._ids(caller), **caller.pane.ids()} if caller else None}

    def do_system_tree(self, params: Json) -> Json:
        spaces = [
            {**_named(space), "title": space.title, "panes": [
                {**_named(pane), "surfaces": [{**_named(each), "title": each.title} for each in pane.surfaces]}
                for pane in space.panes
            ]}
            for space in self.workspaces
        ]  # fmt: skip
        return {"active": self._ids(self.focused), "windows": [{**_named(self.window), "workspaces": spaces}]}

    def do_surface_split(self, params: Json) -> Json:
        if params.get("direction") not in ("left", "right", "up", "down"):
            raise Refusal("invalid_params", "Invalid direction")
        target = self._find_surface(params)
        return self._made(self._new_surface(self._new_pane(target.pane.workspace), params), params)

    def do_surface_create(self, params: Json) -> Json:
        workspace = self._find_workspace(params)
        handle = params.get("pane_id")
        panes = [pane for pane in workspace.panes if handle in (None, pane.id, pane.ref)]
        if not panes:
            raise Refusal("not_found", "Pane not found")
        return self._made(self._new_surface(panes[0], params), params)

    def do_pane_create(self, params: Json) -> Json:
        return self._made(self._new_surface(self._new_pane(self._find_workspace(params)), params), params)

    def _made(self, surface: Surface, params: Json) -> Json:
        if params.get("focus") or self.faults.steals_focus:
            self.focused = surface
        return {**self._ids(surface), **surface.pane.ids(), "type": "terminal"}

    def do_surface_list(self, params: Json) -> Json:
        workspace = self._find_workspace(params)
        rows = [
            {
                **_named(each), "index": index, "type": "terminal", "title": each.title,
                "focused": each is self.focused, "pane_id": each.pane.id, "pane_ref": each.pane.ref,
                "index_in_pane": each.pane.surfaces.index(each), "selected_in_pane": each is each.pane.surfaces[0],
                "requested_working_directory": each.cwd, "initial_command": each.command,
            }
            for index, each in enumerate(workspace.surfaces)
        ]  # fmt: skip
        return {**self.window.ids(), **workspace.ids(), "surfaces": rows}

    def do_pane_list(self, params: Json) -> Json:
        workspace = self._find_workspace(params)
        rows = [
            {
                **_named(pane), "index": index, "focused": self.focused in pane.surfaces,
                "surface_ids": [each.id for each in pane.surfaces],
                "surface_refs": [each.ref for each in pane.surfaces],
                "selected_surface_id": pane.surfaces[0].id, "selected_surface_ref": pane.surfaces[0].ref,
                "surface_count": len(pane.surfaces),
            }
            for index, pane in enumerate(workspace.panes)
        ]  # fmt: skip
        return {**self.window.ids(), **workspace.ids(), "panes": rows}

    def do_surface_send_text(self, params: Json) -> Json:
        surface = self._find_surface(params, "Surface not found for the given surface_id")
        return self._write(surface, typed(params["text"]))

    def do_surface_send_key(self, params: Json) -> Json:
        surface = self._find_surface(params, "Surface not found for the given surface_id")
        data = key_bytes(params["key"])
        if data is None:
            raise Refusal("invalid_params", "Unknown key")
        if data == b"\r" and self.faults.drop_enters:
            self.faults.drop_enters -= 1
            data = b""
        return self._write(surface, data)

    def _write(self, surface: Surface, data: bytes) -> Json:
        if surface.terminal is None:
            surface.waiting += data
        else:
            surface.terminal.write(data)
        queued = {"queued": surface.terminal is None} if self.profile.tells_queued else {}
        return {**self._ids(surface), **queued}

    def do_surface_read_text(self, params: Json) -> Json:
        surface = self._find_surface(params, "Surface not found for the given surface_id")
        if surface.terminal is None:
            raise Refusal("internal_error", "Failed to read terminal text")
        lines = params.get("lines")
        text = surface.terminal.screen.text(10_000 if params.get("scrollback") or lines else 0)
        if lines:
            text = "\n".join(text.split("\n")[-lines:])
        return {**self._ids(surface), "text": text, "base64": base64.b64encode(text.encode()).decode()}

    def do_surface_close(self, params: Json) -> Json:
        surface = self._find_surface(params)
        ids = self._ids(surface)
        if len(surface.pane.workspace.surfaces) == 1:
            raise Refusal("invalid_state", "Cannot close the last surface")
        self._close(surface)
        return ids

    def do_surface_health(self, params: Json) -> Json:
        rows = [
            {**_named(each), "type": "terminal", "in_window": True} for each in self._find_workspace(params).surfaces
        ]
        return {"surfaces": rows}

    def do_surface_trigger_flash(self, params: Json) -> Json:
        surface = self._find_surface(params)
        self.flashed.append(surface.id)
        return self._ids(surface)

    def do_surface_focus(self, params: Json) -> Json:
        self.focused = self._find_surface(params)
        return self._ids(self.focused)

    def do_tab_action(self, params: Json) -> Json:
        surface = self._find_surface(params)
        if params.get("action") != "rename":
            raise Refusal("invalid_params", "Unknown action")
        surface.renamed = params["title"]
        return {**self._ids(surface), "action": "rename", "tab_id": surface.id, "tab_ref": f"tab:{surface.number}"}

    def do_workspace_create(self, params: Json) -> Json:
        workspace = self._new_workspace(
            params.get("title") or "", params.get("cwd") or "/", params.get("initial_command")
        )
        if params.get("focus"):
            self.workspace, self.focused = workspace, workspace.surfaces[0]
        return {**self.window.ids(), **workspace.ids()}

    def do_workspace_list(self, params: Json) -> Json:
        rows = [
            {**_named(each), "index": index, "title": each.title, "selected": each is self.workspace, "pinned": False,
             "current_directory": each.cwd}
            for index, each in enumerate(self.workspaces)
        ]  # fmt: skip
        return {**self.window.ids(), "workspaces": rows}

    def do_workspace_current(self, params: Json) -> Json:
        return {**self.window.ids(), **self.workspace.ids()}

    def do_workspace_close(self, params: Json) -> Json:
        workspace = self._find_workspace(params)
        if len(self.workspaces) > 1:
            for surface in workspace.surfaces:
                self._close(surface)
            self.workspaces.remove(workspace)
        return workspace.ids()

    def do_workspace_rename(self, params: Json) -> Json:
        workspace = self._find_workspace(params)
        workspace.title = params["title"]
        return workspace.ids()

    def do_notification_create(self, params: Json) -> Json:
        surface = self._find_surface(params)
        self.notes.append({**params, "surface_id": surface.id})
        return {**surface.pane.workspace.ids(), **surface.ids()}

    def do_standin_set(self, params: Json) -> Json:
        for key, value in params.items():
            setattr(self.faults if hasattr(self.faults, key) else self, key, value)
        return {}

    def do_standin_look(self, params: Json) -> Json:
        sidebar = {
            each.id: {"status": each.status, "progress": each.progress, "log": each.log} for each in self.workspaces
        }
        pids = {each.id: each.terminal.pid for space in self.workspaces for each in space.surfaces if each.terminal}
        return {"notes": self.notes, "flashed": self.flashed, "sidebar": sidebar, "pids": pids,
                "faults": dataclasses.asdict(self.faults)}  # fmt: skip

    # -- v1 ------------------------------------------------------------------------------------------------------

    def line(self, text: str) -> str:
        """Answer a line of the first protocol."""
        try:
            verb, *words = shlex.split(text)
        except ValueError as error:
            return f"ERROR: {error}"
        after = words[words.index("--") + 1 :] if "--" in words else []
        words = words[: words.index("--")] if "--" in words else words
        options = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
        words = [word for word in words if not word.startswith("--")] + after
        space = next((each for each in self.workspaces if each.id == options.get("tab")), None)
        if "tab" in options and space is None:
            return "ERROR: Tab not found"
        space = space or self.workspace
        match verb:
            case "ping":
                return "PONG"
            case "set_status":
                space.status[words[0]] = " ".join(words[1:])
            case "clear_status":
                space.status.pop(words[0], None)
            case "set_progress":
                space.progress = f"{words[0]} {options.get('label', '')}".strip()
            case "clear_progress":
                space.progress = ""
            case "log":
                space.log.append(f"[{options.get('level', 'info')}] {' '.join(words)}")
            case "clear_log":
                space.log.clear()
            case "list_status":
                return "\n".join(f"{key}={value}" for key, value in space.status.items()) or "No status entries"
            case "list_log":
                return "\n".join(space.log) or "No log entries"
            case _:
                return f"ERROR: Unknown command '{verb}'"
        return "OK"


def _named(thing: Thing) -> Json:
    return {"id": thing.id, "ref": thing.ref}


def _is_descendant(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


class Server:
    """Connections, and who may speak."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid = struct.unpack("3i", raw)[0]
        is_in = self.app.mode in ("automation", "allowAll") or _is_descendant(pid, os.getpid())
        await self._lines(reader, writer, is_in=is_in and self.app.mode != "password")

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._lines(reader, writer, is_in=True)

    async def _lines(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_in: bool) -> None:
        try:
            while raw := await reader.readline():
                text = raw.decode().rstrip("\n")
                if text.startswith("_cmux_capability_v1 "):
                    _, token, text = text.split(" ", 2)
                    is_in = is_in or token == CAPABILITY
                if not is_in and self.app.mode == "password":
                    is_in = text == f"auth {self.app.password}"
                    answer: str | None = _authentication(text, is_in=is_in)
                elif text.startswith("auth "):
                    answer = "OK: Authentication not required"
                elif not is_in:
                    if self.app.profile.hangs_up:
                        return
                    answer = f"ERROR: {self.app.profile.denial}"
                else:
                    answer = self._answer(text)
                if answer is not None:
                    writer.write(answer.encode() + b"\n")
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _answer(self, text: str) -> str | None:
        if not text.startswith("{"):
            return self.app.line(text)
        request = json.loads(text)
        if request["method"] in self.app.faults.unanswered:
            return None
        try:
            result = self.app.call(request["method"], request.get("params") or {})
        except Refusal as refusal:
            error = {"code": refusal.code, "message": refusal.message}
            return json.dumps({"id": request.get("id"), "ok": False, "error": error})
        return json.dumps({"id": request.get("id"), "ok": True, "result": result})


def _authentication(text: str, *, is_in: bool) -> str:
    if is_in:
        return "OK: Authenticated"
    if text.startswith("auth "):
        return "ERROR: Invalid password"
    message = "Authentication required. Send auth <password> first."
    if not text.startswith("{"):
        return f"ERROR: {message}"
    return json.dumps({"id": None, "ok": False, "error": {"code": "auth_required", "message": message}})


async def main(path: str, settings: Json) -> None:
    """Be the app until TERM; every terminal is hung up at the end."""
    app = App(path, settings)
    server = Server(app)
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    await asyncio.start_unix_server(server.control, f"{path}.control")
    await asyncio.start_unix_server(server.serve, path)
    os.chmod(path, 0o666 if app.mode == "allowAll" else 0o600)
    await ending.wait()
    for workspace in app.workspaces:
        for surface in workspace.surfaces:
            if surface.terminal is not None:
                surface.terminal.close()
    os.unlink(path)
    os.unlink(f"{path}.control")


if __name__ == "__main__":
    # Its name decides whether `down` takes it for a multiplexer.
    ctypes.CDLL(None).prctl(15, b"cmux")
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
