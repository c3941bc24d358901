"""A model on 127.0.0.1 that does what a test tells it to, and remembers everything it was asked.

    with ModelServer() as model:
        model.when("apples", Shell("touch eaten"), Say("done"))
        ... the agent, pointed at model.url, is told about apples ...
        assert len(model.prompts_containing("apples")) == 1

A turn that holds the words of a rule plays its steps: the first answers the prompt, each further one the result of the
tool before it. A turn without a rule gets `Say("ok")`. Requests that offer no tools, as for a title, are answered and
do not count as turns.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from tests.real.dialects import Anthropic, ChatCompletions, Dialect, Gemini, Part, Request, Responses, ToolUse

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

_ROUTES: tuple[tuple[str, Dialect], ...] = (
    (r"/v1/messages$", Anthropic()),
    (r"/responses$", Responses()),
    (r"/chat/completions$", ChatCompletions()),
    (r":(?:streamG|g)enerateContent$", Gemini()),
)
_COUNTS = {"/count_tokens": {"input_tokens": 10}, ":countTokens": {"totalTokens": 10}}
_ASK = re.compile(r"· ask ([0-9A-Za-z-]+) · reply: (intercom-mux reply|intercom_reply)")
_ELSEWHERE = re.compile(r"read it: (?:intercom-mux inbox |(intercom_inbox) id=)([0-9A-Za-z-]+)")


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with text and end the turn."""

    text: str


@dataclass(frozen=True, slots=True)
class Talk:
    """Stream a number every 0.1 s until `until` is set, so that the agent is seen thinking; then call a tool or end.

    With `text` it streams that instead, and stalls.
    """

    until: threading.Event = field(default_factory=threading.Event)
    then: Shell | Call | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Shell:
    """Run a command with the agent's own tool for it; `is_escalated` asks codex to leave its sandbox, by a dialog."""

    command: str
    is_escalated: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """Call the offered tool whose name ends with `tool`, as an MCP tool's does."""

    tool: str
    arguments: Json


Step = Say | Talk | Shell | Call
Script = Step | Callable[[str], Step]
"""A step, or what makes one from the prompt that the turn began with."""


def reply_with(text: str) -> Callable[[str], Step]:
    """Answer the ask in the prompt as its header says: by `intercom-mux reply --to ID TEXT`, or by the MCP tool."""

    def step(prompt: str) -> Step:
        asked = _ASK.search(prompt)
        assert asked is not None, f"no ask in {prompt!r}"
        if asked[2] == "intercom_reply":
            return Call("intercom_reply", {"to": asked[1], "message": text})
        return Shell(f'intercom-mux reply --to {asked[1]} "{text}"')

    return step


def read_body(prompt: str) -> Step:
    """Read the body of the message in the prompt as its header says; where it stands in the prompt, say so."""
    elsewhere = _ELSEWHERE.search(prompt)
    if elsewhere is None:
        return Say("it is all here")
    if elsewhere[1]:
        return Call("intercom_inbox", {"id": elsewhere[2]})
    return Shell(f"intercom-mux inbox {elsewhere[2]}")


class ModelServer:
    """See the module. Usable from any thread; leaving it ends every stream.

    `turns_offer_tools` is False for an agent that never offers any: then every request counts as a turn.
    """

    def __init__(self, *, turns_offer_tools: bool = True) -> None:
        self.requests: list[Request] = []
        """Every turn's requests, oldest first."""
        self.others: list[str] = []
        """Paths of the requests that were no turn."""
        self._rules: list[tuple[str, tuple[Script, ...]]] = []
        self._rest: list[Script] = []
        self._prompt = ""
        self._turns_offer_tools = turns_offer_tools
        self._lock = threading.Lock()
        self._closing = threading.Event()
        handler = type("Handler", (_Handler,), {"model": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._thread.join(5)
        self._http.server_close()

    @property
    def url(self) -> str:
        """The base URL, without a path."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def when(self, words: str, *steps: Script) -> None:
        """Play `steps` in the turn that begins with a prompt holding `words`; a later rule goes before an earlier."""
        with self._lock:
            self._rules.insert(0, (words, steps))

    def prompts_containing(self, words: str) -> list[str]:
        """Return the prompts that hold `words`, one entry for each time they stand there.

        Every request repeats the conversation, so this is counted in the one request that holds them most often.
        """
        with self._lock:
            found = [[text for text in one.prompts for _ in range(text.count(words))] for one in self.requests]
        return max(found, key=len, default=[])

    def texts_containing(self, words: str) -> list[str]:
        """Return the prompts and the results of tools that hold `words`, each once."""
        return list(dict.fromkeys(self.prompts_containing(words) + self.results_containing(words)))

    def results_containing(self, words: str) -> list[str]:
        """Return the results of tools that hold `words`."""
        with self._lock:
            return list(dict.fromkeys(text for one in self.requests for text in one.results if words in text))

    def _answer(self, request: Request, path: str) -> Iterator[Part]:
        """Choose the step for `request` and return its parts; a slow one goes on while it is read."""
        with self._lock:
            if self._turns_offer_tools and not request.tools:
                self.others.append(path)
                return iter(["A title"])
            self.requests.append(request)
            step = self._next_step(request)
        return self._parts(step, request)

    def _next_step(self, request: Request) -> Step:
        said = [item.text for item in request.news if item.kind == "user"]
        rule = next(((text, steps) for words, steps in self._rules for text in reversed(said) if words in text), None)
        if rule is not None:
            self._prompt, self._rest = rule[0], list(rule[1])
        elif not any(item.kind == "result" for item in request.news):
            self._prompt, self._rest = "", []
        script = self._rest.pop(0) if self._rest else Say("ok")
        return script(self._prompt) if callable(script) else script

    def _parts(self, step: Step, request: Request) -> Iterator[Part]:
        match step:
            case Say(text):
                yield text
            case Talk(until, then, text):
                # Never the same word twice: gemini stops a model that repeats itself.
                numbers = itertools.count(1)
                yield text or "Counting:"
                while not until.wait(0.1) and not self._closing.is_set():
                    yield "" if text else f" {next(numbers)}"
                if then is not None:
                    yield from self._parts(then, request)
            case Shell(command, is_escalated):
                yield _shell(command, request.tools, is_escalated=is_escalated)
            case Call(tool, arguments):
                name = next((name for name in request.tools if name.endswith(tool)), tool)
                yield ToolUse(name, arguments)


def _shell(command: str, tools: tuple[str, ...], *, is_escalated: bool) -> Part:
    """Return the call of the shell tool that is offered, in the shape that its agent wants; as text where none is."""
    if not tools:
        return f"\n\n```bash\n{command}\n```\n"
    described = {"command": command, "description": "Run a command"}
    shapes: dict[str, Json] = {
        "Bash": described,
        "run_shell_command": described,
        "exec_command": {"cmd": command},
        "shell_command": {"command": command},
        "shell": {"command": ["sh", "-c", command]},
        "bash": described,
    }
    name = next((name for name in shapes if name in tools), None)
    if name is None:
        raise AssertionError(f"no shell tool among {tools}")
    escalation = {"sandbox_permissions": "require_escalated", "justification": "needed"} if is_escalated else {}
    return ToolUse(name, shapes[name] | escalation)


class _Handler(BaseHTTPRequestHandler):
    model: ModelServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        dialect = next((dialect for route, dialect in _ROUTES if re.search(route, path)), None)
        if dialect is None:
            self.model.others.append(path)
            self._send(next((answer for end, answer in _COUNTS.items() if path.endswith(end)), {}))
            return
        body = json.loads(raw)
        parts = self.model._answer(dialect.read(body), path)
        if body.get("stream") or path.endswith(":streamGenerateContent"):
            self._stream(dialect.stream(parts))
        else:
            self._send(dialect.whole(parts))

    def do_GET(self) -> None:
        self.model.others.append(self.path)
        self._send({"object": "list", "data": [], "models": []})

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, answer: Json) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for event in events:
                self.wfile.write(event)
        except OSError:
            pass  # the agent was interrupted

    def log_message(self, *_: object) -> None:
        pass
