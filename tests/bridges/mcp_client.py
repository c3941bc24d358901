"""Two MCP clients for the tests: the SDK's own, and one that writes raw lines and so can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from mcp import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.cli.stage import start
from tests.support import SCALE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mcp_types import CallToolResult

Json = dict[str, Any]

LIMIT_S = 40 * SCALE


@contextlib.asynccontextmanager
async def connected(*arguments: str) -> AsyncIterator[ClientSession]:
    """Yield an initialised session with `intercom-mux mcp`, in this process's environment."""
    argv = ["-I", "-m", "intercom_mux", "mcp", *arguments]
    server = StdioServerParameters(command=sys.executable, args=argv, env=dict(os.environ))
    async with stdio_client(server) as (incoming, outgoing), ClientSession(incoming, outgoing) as session:
        await session.initialize()
        yield session


def talk(scenario: Callable[[ClientSession], Awaitable[None]], *arguments: str) -> None:
    """Run a scenario with a connected session, within a time limit."""

    async def whole() -> None:
        async with asyncio.timeout(LIMIT_S), connected(*arguments) as session:
            await scenario(session)

    asyncio.run(whole())


async def call(session: ClientSession, tool: str, **arguments: Any) -> CallToolResult:
    """Call a tool that must succeed."""
    result = await session.call_tool(tool, arguments)
    assert not result.is_error, text(result)
    return result


async def refusal(session: ClientSession, tool: str, **arguments: Any) -> Json:
    """Call a tool that must fail and return the error; its text holds message and hint."""
    result = await session.call_tool(tool, arguments)
    assert result.is_error
    error: Json = result.structured_content["error"]
    assert text(result).startswith(f"error: {error['message']}")
    return error


def text(result: CallToolResult) -> str:
    """Return the words of a result."""
    (content,) = result.content
    assert content.type == "text"
    return content.text


class RawClient:
    """Lines in, lines out; every line that comes out must be a JSON object."""

    def __init__(self, *arguments: str) -> None:
        pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = start("mcp", *arguments, **pipes)
        self._next_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> int:
        """Hang up, and return the exit code; what still comes out is protocol."""
        out, _ = self._process.communicate(timeout=LIMIT_S)
        for line in out.splitlines():
            assert isinstance(json.loads(line), dict)
        return self._process.returncode

    def write(self, line: str) -> None:
        """Write one line as it is."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def read(self) -> Json:
        """Return the next line."""
        assert self._process.stdout is not None
        value = json.loads(self._process.stdout.readline())
        assert isinstance(value, dict)
        return value

    def request(self, method: str, params: Any = None) -> Json:
        """Make a request and return its answer; what comes before it is skipped."""
        self._next_id += 1
        frame = {"jsonrpc": "2.0", "id": self._next_id, "method": method}
        self.write(json.dumps(frame if params is None else {**frame, "params": params}))
        while (answer := self.read()).get("id") != self._next_id:
            pass
        return answer

    def initialize(self) -> Json:
        """Shake hands as clients do today."""
        me = {"name": "raw", "version": "1"}
        answer = self.request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": me})
        self.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        return answer
