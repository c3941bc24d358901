"""A stand-in for the HTTP server of opencode: a password, one session, prompts, dialogs, and ways to misbehave."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]
PASSWORD = "a password"


class OpencodeStandIn:
    """What it was told stands in `prompts`.

    A test sets `busy`, `tool`, `dialogs` and `fault` (huge, nonsense, drip, lost).
    """

    def __init__(self, cwd: str) -> None:
        self.cwd = cwd
        self.prompts: list[str] = []
        self.answers: list[str] = []
        self.shown: list[str] = []
        self.has_session = False
        self.busy = False
        self.tool = ""
        self.dialogs: list[Json] = []
        self.fault = ""
        handler = type("Handler", (_Handler,), {"agent": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def get(self, path: str) -> Any:
        if path in ("/permission", "/question"):
            return self.dialogs if path == "/permission" else []
        if path == "/session/status":
            return {"ses_1": {"type": "busy"}} if self.busy else {}
        if path == "/session":
            row = {"id": "ses_1", "directory": self.cwd, "time": {"updated": time.time() * 1000}}
            child = {**row, "id": "ses_2", "parentID": "ses_1"}
            return [row, child] if self.has_session else []
        return self._messages()

    def post(self, path: str, body: Json) -> Any:
        if path == "/session":
            self.has_session = True
            return {"id": "ses_1"}
        if path == "/tui/select-session":
            self.shown.append(body["sessionID"])
            return True
        self.prompts.append(body["parts"][0]["text"])
        return None

    def _messages(self) -> list[Json]:
        rows: list[Json] = []
        for index, prompt in enumerate(self.prompts):
            rows.append({"info": {"role": "user", "time": {}}, "parts": [{"type": "text", "text": prompt}]})
            if index < len(self.answers):
                info = {"role": "assistant", "time": {"completed": 1}, "finish": "stop"}
                rows.append({"info": info, "parts": [{"type": "text", "text": self.answers[index]}]})
        if self.tool:
            over = {"type": "tool", "tool": "read", "state": {"status": "completed"}}
            runs = {"type": "tool", "tool": self.tool, "state": {"status": "running"}}
            rows.append({"info": {"role": "assistant", "time": {}}, "parts": [over, runs]})
        return rows


class _Handler(BaseHTTPRequestHandler):
    agent: OpencodeStandIn

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Json | None) -> None:
        login = "Basic " + base64.b64encode(f"opencode:{PASSWORD}".encode()).decode()
        path = self.path.partition("?")[0]
        if self.headers.get("Authorization") != login:
            self.send_error(401)
            return
        answer = self.agent.get(path) if body is None else self.agent.post(path, body)
        data = b"" if answer is None else json.dumps(answer).encode()
        is_lost = self.agent.fault == "lost" and path.endswith("prompt_async")
        if is_lost:
            return
        data = {"huge": b"1" * 5_000_000, "nonsense": b"[" * 100_000}.get(self.agent.fault, data)
        self.send_response(200)
        self.end_headers()
        try:
            if self.agent.fault == "drip":
                for _ in range(200):
                    self.wfile.write(b" ")
                    time.sleep(0.05)
            self.wfile.write(data)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass
