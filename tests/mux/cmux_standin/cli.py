"""The program `cmux` of the stand-in: `python cli.py VERSION ARGUMENTS…`, see the package's docstring."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from typing import TYPE_CHECKING, Any, NoReturn

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
if TYPE_CHECKING:
    from tests.mux.cmux_standin.profiles import PROFILES
else:
    from profiles import PROFILES

Json = dict[str, Any]
DIRECTIONS = {"l": "left", "r": "right", "u": "up", "d": "down"}
HANDLE = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|(surface|workspace|pane|window|tab):\d+|\d+")
RETIRED = ("new-workspace", "list-workspaces", "close-workspace", "rename-workspace", "current-workspace")


def fail(message: str, status: int = 1) -> NoReturn:
    print(f"Error: {message}", file=sys.stderr)
    raise SystemExit(status)


class Link:
    """The connection to the app."""

    def __init__(self, path: str, password: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(float(os.environ.get("CMUXTERM_CLI_RESPONSE_TIMEOUT_SEC") or 15))
        if not os.path.exists(path):
            fail(f"Socket not found at {path}")
        try:
            self._socket.connect(path)
        except OSError as error:
            fail(f"Failed to connect to socket at {path} ({error.strerror}, errno {error.errno})")
        self._file = self._socket.makefile("rw", encoding="utf-8", newline="\n")
        if password:
            answer = self.line(f"auth {password}")
            if answer.startswith("ERROR"):
                fail(answer)

    def line(self, text: str) -> str:
        token = os.environ.get("CMUX_SOCKET_CAPABILITY")
        try:
            self._file.write(f"_cmux_capability_v1 {token} {text}\n" if token else f"{text}\n")
            self._file.flush()
            answer = self._file.readline()
        except TimeoutError:
            fail("Command timed out")
        except OSError as error:
            fail(f"Failed to write to socket ({error.strerror}, errno {error.errno})")
        if not answer:
            fail("Failed to write to socket (Broken pipe, errno 32)")
        return answer.rstrip("\n")

    def call(self, method: str, params: Json) -> Json:
        params = {key: value for key, value in params.items() if value is not None}
        answer = self.line(json.dumps({"id": "1", "method": method, "params": params}))
        if not answer.startswith("{"):
            fail(answer)
        value = json.loads(answer)
        if not value["ok"]:
            fail(f"{value['error']['code']}: {value['error']['message']}")
        result: Json = value["result"]
        return result


class Arguments:
    """What follows the verb."""

    def __init__(self, words: list[str], flags: tuple[str, ...], *, strict: bool, verb: str) -> None:
        self.values: dict[str, str] = {}
        self.rest: list[str] = []
        while words:
            word = words.pop(0)
            if word == "--":
                self.rest += words
                return
            if word in flags:
                self.values[word] = words.pop(0) if words else ""
            elif word.startswith("--"):
                if strict:
                    fail(f"{verb}: unknown flag '{word}'")
            else:
                self.rest.append(word)

    def handle(self, *flags: str) -> str | None:
        for flag in flags:
            value = self.values.get(flag)
            if value is not None:
                kind = flag.removeprefix("--").replace("panel", "surface")
                if not HANDLE.fullmatch(value) or (":" in value and value.split(":")[0] not in (kind, "tab")):
                    fail(f"Invalid {kind} handle: {value} (expected UUID, ref like {kind}:1, or index)")
                return value
        return None


def main(version: str, words: list[str]) -> None:
    profile = PROFILES[version]
    options: Json = {"json": False, "--id-format": None, "--socket": None, "--password": None, "--window": None}
    if profile.trailing_globals:
        end = words.index("--") if "--" in words else len(words)
        leading = [word for word in words[:end] if word == "--json"]
        words = leading + [word for at, word in enumerate(words) if at >= end or word != "--json"]
    while words and words[0].startswith("--"):
        flag = words.pop(0)
        if flag == "--json":
            options["json"] = True
        elif flag == "--version":
            words.insert(0, "version")
        elif flag in options:
            options[flag] = words.pop(0)
        else:
            fail(f"Unknown option {flag}", 2)
    if not words:
        fail("Missing command", profile.usage_status)
    verb = words.pop(0)
    if verb == "version":
        print(f"cmux {version} (102) [abcdef1]")
        return
    path = (
        options["--socket"] or os.environ.get("CMUX_SOCKET_PATH") or os.path.expanduser("~/.local/state/cmux/cmux.sock")
    )
    password = options["--password"] or os.environ.get("CMUX_SOCKET_PASSWORD") or ""
    Command(profile, lambda: Link(path, password), options).run(verb, words)


class Command:
    """One verb."""

    def __init__(self, profile: Any, link: Any, options: Json) -> None:
        self.profile, self.new_link, self.options = profile, link, options

    def run(self, verb: str, words: list[str]) -> None:
        if verb in RETIRED and self.profile.trailing_globals and not os.environ.get("CMUX_QUIET"):
            print(f"note: '{verb}' is deprecated; use 'workspace …'", file=sys.stderr)
        if verb == "workspace" and words:
            verb = {"create": "workspace-create", "list": "list-workspaces"}.get(words.pop(0), "?")
        handler = getattr(self, "do_" + verb.replace("-", "_"), None)
        if handler is None:
            known = "Run 'cmux --help' for the full command list."
            fail(f"Unknown command '{verb}'. {known}", self.profile.usage_status)
        handler(words)

    def where(self, words: list[str], *flags: str, verb: str = "", strict: bool = False) -> tuple[Arguments, Json]:
        """Parse, check the handles, and add what the environment says; nothing was sent yet."""
        known = ("--workspace", "--surface", "--panel", "--window", *flags)
        arguments = Arguments(words, known, strict=strict, verb=verb)
        surface, workspace = arguments.handle("--surface", "--panel"), arguments.handle("--workspace")
        window = arguments.handle("--window") or self.options["--window"]
        if workspace is None and window is None:
            if surface is None:
                surface = os.environ.get("CMUX_SURFACE_ID")
                workspace = os.environ.get("CMUX_WORKSPACE_ID")
            elif self.profile.adds_workspace:
                workspace = os.environ.get("CMUX_WORKSPACE_ID")
        return arguments, {"surface_id": surface, "workspace_id": workspace}

    def show(self, result: Json, plain: str) -> None:
        print(json.dumps(self.trimmed(result), indent=2, sort_keys=True) if self.options["json"] else plain)

    def trimmed(self, value: Any) -> Any:
        how = self.options["--id-format"] or "refs"
        if isinstance(value, list):
            return [self.trimmed(each) for each in value]
        if not isinstance(value, dict) or how == "both":
            return value
        drop, keep = ("id", "ref") if how == "refs" else ("ref", "id")
        ids = {key for key in value if re.search(rf"(^|_){drop}s?$", key)}
        gone = {key for key in ids if re.sub(rf"{drop}(s?)$", rf"{keep}\1", key) in value}
        return {key: self.trimmed(each) for key, each in value.items() if key not in gone}

    def done(self, result: Json) -> None:
        plain = f"OK {result['surface_ref']} {result['workspace_ref']}"
        if result.get("queued"):
            plain += " queued (terminal starting; input will be sent when its PTY is ready)"
        self.show(result, plain)

    def do_ping(self, words: list[str]) -> None:
        answer = self.new_link().line("ping")
        if answer.startswith("ERROR"):
            fail(answer)
        print(answer)

    def do_capabilities(self, words: list[str]) -> None:
        print(json.dumps(self.new_link().call("system.capabilities", {}), indent=2, sort_keys=True))

    def do_identify(self, words: list[str]) -> None:
        _, where = self.where(words)
        print(json.dumps(self.new_link().call("system.identify", {"caller": where}), indent=2, sort_keys=True))

    def do_rpc(self, words: list[str]) -> None:
        print(json.dumps(self.new_link().call(words[0], json.loads(words[1]) if words[1:] else {}), indent=2))

    def do_new_split(self, words: list[str]) -> None:
        if not words or words[0].startswith("-"):
            fail("new-split requires a direction")
        direction = words.pop(0)
        flags = ("--focus", *(("--command",) if self.profile.has_command_flag else ()))
        arguments, where = self.where(words, *flags, verb="new-split", strict=self.profile.unknown_flags == "error")
        command = arguments.values.get("--command")
        params = {
            "direction": DIRECTIONS.get(direction, direction),
            "focus": arguments.values.get("--focus") == "true",
            "initial_input": f"{command}\n" if command else None,
        }
        self.done(self.new_link().call("surface.split", {**where, **params}))

    def do_send(self, words: list[str]) -> None:
        arguments, where = self.where(words)
        if not arguments.rest:
            fail("send requires text")
        text = " ".join(arguments.rest).replace("\\n", "\r").replace("\\r", "\r").replace("\\t", "\t")
        self.done(self.new_link().call("surface.send_text", {**where, "text": text}))

    def do_send_key(self, words: list[str]) -> None:
        arguments, where = self.where(words)
        self.done(self.new_link().call("surface.send_key", {**where, "key": arguments.rest[0]}))

    def do_read_screen(self, words: list[str]) -> None:
        scrollback = "--scrollback" in words
        arguments, where = self.where([word for word in words if word != "--scrollback"], "--lines")
        lines = arguments.values.get("--lines")
        params = {"scrollback": scrollback, "lines": int(lines) if lines else None}
        result = self.new_link().call("surface.read_text", {**where, **params})
        print(json.dumps(result, indent=2, sort_keys=True) if self.options["json"] else result["text"])

    do_capture_pane = do_read_screen

    def do_close_surface(self, words: list[str]) -> None:
        _, where = self.where(words)
        self.done(self.new_link().call("surface.close", where))

    def do_rename_tab(self, words: list[str]) -> None:
        arguments, where = self.where(words)
        params = {**where, "action": "rename", "title": " ".join(arguments.rest)}
        result = self.new_link().call("tab.action", params)
        self.show(result, f"OK action=rename tab={result['tab_ref']} workspace={result['workspace_ref']}")

    def do_focus_panel(self, words: list[str]) -> None:
        _, where = self.where(words)
        self.done(self.new_link().call("surface.focus", where))

    def do_trigger_flash(self, words: list[str]) -> None:
        _, where = self.where(words)
        self.done(self.new_link().call("surface.trigger_flash", where))

    def do_list_panels(self, words: list[str]) -> None:
        _, where = self.where(words)
        result = self.new_link().call("surface.list", {"workspace_id": where["workspace_id"]})
        rows = []
        for row in result["surfaces"]:
            mark, told = ("*", "[focused]  ") if row["focused"] else (" ", "")
            rows.append(f'{mark} {row["ref"]}  terminal  {told}"{row["title"]}"')
        self.show(result, "\n".join(rows))

    def do_list_workspaces(self, words: list[str]) -> None:
        result = self.new_link().call("workspace.list", {})
        rows = [
            f"{'*' if row['selected'] else ' '} {row['ref']}  {row['title']}{'  [selected]' if row['selected'] else ''}"
            for row in result["workspaces"]
        ]
        self.show(result, "\n".join(rows))

    def do_workspace_create(self, words: list[str]) -> None:
        arguments, _ = self.where(words, "--name", "--cwd", "--command", "--focus")
        values = {key.removeprefix("--"): value for key, value in arguments.values.items()}
        params = {"title": values.get("name"), "cwd": values.get("cwd"), "focus": values.get("focus") == "true"}
        result = self.new_link().call("workspace.create", params)
        self.show(result, f"OK {result['workspace_ref']}")

    def do_new_workspace(self, words: list[str]) -> None:
        self.options["json"] = False
        self.do_workspace_create(words)

    def do_current_workspace(self, words: list[str]) -> None:
        result = self.new_link().call("workspace.current", {})
        self.show(result, result["workspace_ref"])

    def _line(self, text: str) -> None:
        answer = self.new_link().line(text)
        if answer.startswith("ERROR"):
            fail(answer)
        print(answer)

    def do_set_status(self, words: list[str]) -> None:
        self._line(f"set_status {words[0]} {json.dumps(' '.join(words[1:]))} --tab={os.environ['CMUX_WORKSPACE_ID']}")

    def do_list_status(self, words: list[str]) -> None:
        self._line(f"list_status --tab={os.environ['CMUX_WORKSPACE_ID']}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
