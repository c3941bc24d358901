"""`intercom-mux mcp` with the SDK's own client over stdio, a real broker and real peers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
import pytest

from intercom_mux.bridges import mcp_tools
from tests.bridges.mcp_client import RawClient, call, refusal, talk, text
from tests.broker.live import kill_broker, start
from tests.cli.stage import TEAM, Peer, echo, run
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp import ClientSession

Json = dict[str, Any]

ASK = {"id": "1" * 32, "timestamp": 1, "expectsReply": True, "content": {"text": "ready?"}}


@pytest.fixture
def planner() -> Iterator[Peer]:
    """The supervisor of worker-1; silent unless a test gives it an answer."""
    with Peer("planner", role="planner", team=TEAM) as peer:
        yield peer


@pytest.fixture
def worker(planner: Peer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """The peer in whose pane the server is started."""
    with Peer("worker-1", role="worker", team=TEAM) as peer:
        peer.enter_pane(monkeypatch, supervisor=planner)
        yield peer


def open_asks() -> list[Json]:
    """Return the asks that the pane's peer has open, by the command line."""
    rows: list[Json] = run("pending", "--json").json["from_me"]
    return rows


async def eventually(observe: Any, what: str) -> Any:
    """Wait for something without holding up the session."""
    return await asyncio.to_thread(wait_until, observe, what=what)


def test_the_tools_are_described_for_a_model() -> None:
    """Each tool has a description and a closed schema; those that change nothing say so."""

    async def scenario(session: ClientSession) -> None:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert list(tools) == [tool.name for tool in mcp_tools.TOOLS]
        assert {"intercom_list", "intercom_send", "intercom_ask", "intercom_reply", "contact_supervisor"} < set(tools)
        for tool in tools.values():
            assert tool.description
            assert set(tool.input_schema["required"]) <= set(tool.input_schema["properties"])
        looks = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
        assert looks == {"intercom_list", "intercom_pending", "intercom_status"}

    talk(scenario)


def test_send_and_ask_act_as_the_peer_of_the_pane(planner: Peer, worker: Peer) -> None:
    """A message comes from the peer, with its attachments; a reply comes back as text and as data."""
    planner.answer = echo
    attached = {"name": "a.py", "content": "pass\n", "language": "python"}

    async def scenario(session: ClientSession) -> None:
        sent = await call(session, "intercom_send", to="planner", message="done", attachments=[attached])
        assert text(sent) == "delivered to planner, which is idle"
        assert sent.structured_content["delivery"] == "socket_delivered"
        asked = await call(session, "intercom_ask", to="planner", message="next?")
        assert text(asked) == "reply from planner:\n\n<next?>"
        assert asked.structured_content["reply"] == "<next?>"
        status = (await call(session, "intercom_status")).structured_content
        assert (status["name"], status["role"], status["supervisor"]) == ("worker-1", "worker", "planner")

    talk(scenario)
    frames = planner.of_type("message")
    assert {frame["from"]["name"] for frame in frames} == {"worker-1"}
    assert frames[0]["message"]["content"]["attachments"] == [{"type": "file", **attached}]


def test_asks_to_us_are_shown_and_answered(planner: Peer, worker: Peer) -> None:
    """Pending names the ask by an id that reply takes."""
    planner.write({"type": "send", "to": "worker-1", "message": ASK})

    async def scenario(session: ClientSession) -> None:
        await eventually(worker.texts, "the ask")
        pending = await call(session, "intercom_pending")
        assert "11111111 planner" in text(pending)
        assert "ready?" in text(pending)
        assert "intercom_reply" in pending.structured_content["next"]
        letter = await call(session, "intercom_inbox", id="11111111")
        assert text(letter) == "[intercom] from planner · ask 11111111 · reply: intercom_reply to=11111111\nready?"
        assert text(await call(session, "intercom_reply", to="11111111", message="yes")) == "reply delivered to planner"
        assert text(await call(session, "intercom_pending")) == "no pending asks"
        assert (await refusal(session, "intercom_reply", message="again"))["code"] == "E_NO_PENDING_ASK"

    talk(scenario)
    wait_until(lambda: planner.texts() == ["yes"], what="the reply")


def test_a_long_ask_holds_up_no_other_tool(planner: Peer, worker: Peer) -> None:
    """While one call waits, others are answered."""

    async def scenario(session: ClientSession) -> None:
        waiting = asyncio.create_task(session.call_tool("intercom_ask", {"to": "planner", "message": "long?"}))
        await eventually(planner.texts, "the question")
        assert "planner" in text(await call(session, "intercom_list"))
        assert (await refusal(session, "intercom_ask", to="planner", message="too?"))["code"] == "E_ALREADY_WAITING"
        ticket = await call(session, "intercom_ask", to="planner", message="later?", wait=False)
        assert ticket.structured_content["state"] == "open"
        assert not waiting.done()
        await eventually(lambda: len(planner.texts()) == 2, "both questions")
        for frame in planner.of_type("message"):
            planner.reply(frame["message"], "at last")
        assert text(await waiting).endswith("at last")
        await eventually(lambda: not open_asks(), "the second reply")
        result = await call(session, "intercom_result", ask_id=ticket.structured_content["ask_id"])
        assert text(result) == "reply from planner:\n\nat last"

    talk(scenario)


def test_a_cancelled_call_takes_its_ask_back(planner: Peer, worker: Peer) -> None:
    """Nobody is left with a question that no one waits for."""

    async def scenario(session: ClientSession) -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(session.call_tool, "intercom_ask", {"to": "planner", "message": "long?"})
                await eventually(planner.texts, "the question")
                scope.cancel()
        await eventually(lambda: planner.of_type("message_control"), "the withdrawal")
        assert text(await call(session, "intercom_pending")) == "no pending asks"

    talk(scenario)
    assert open_asks() == []


@pytest.mark.parametrize(("own_s", "arguments"), [(0.3, ()), (60, ("--max-wait", "0.3s"))])
def test_an_ask_that_outlasts_the_tool_becomes_a_ticket(
    planner: Peer, worker: Peer, monkeypatch: pytest.MonkeyPatch, own_s: float, arguments: tuple[str, ...]
) -> None:
    """When the limit comes first, the peer's or the one given, the call ends well and says how to fetch the reply."""
    worker.enter_pane(monkeypatch, ask_wait_s=own_s)

    async def scenario(session: ClientSession) -> None:
        result = await call(session, "intercom_ask", to="planner", message="long?")
        ask_id = result.structured_content["ask_id"]
        assert text(result).endswith(result.structured_content["next"])
        assert result.structured_content["next"] == f"Go on, and call intercom_result with ask_id {ask_id[:8]} later"
        assert "is open" in text(await call(session, "intercom_result", ask_id=ask_id[:8]))
        (frame,) = planner.of_type("message")
        planner.reply(frame["message"], "at last")
        await eventually(lambda: not open_asks(), "the reply")
        assert text(await call(session, "intercom_result", ask_id=ask_id)) == "reply from planner:\n\nat last"

    talk(scenario, *arguments)


def test_the_supervisor_is_contacted_in_three_ways(planner: Peer, worker: Peer) -> None:
    """A decision and an interview wait for the reply; progress does not; what is missing is named."""
    interview = {"questions": [{"id": "db", "type": "single", "question": "Which?", "options": ["a", "b"]}]}
    said = iter(["Take a.", '{"responses": [{"id": "db", "value": "c"}]}'])

    def answer(peer: Peer, message: Json) -> None:
        if message.get("expectsReply"):
            peer.reply(message, next(said))

    planner.answer = answer

    async def scenario(session: ClientSession) -> None:
        decided = await call(session, "contact_supervisor", reason="need_decision", message="Which?")
        assert decided.structured_content["reply"] == "Take a."
        done = await call(session, "contact_supervisor", reason="interview_request", interview=interview)
        assert 'not valid: "db": "c" is not one of the options: a, b' in text(done)
        assert (done.structured_content["responses"], len(done.structured_content["problems"])) == ([], 1)
        told = await call(session, "contact_supervisor", reason="progress_update", message="half done")
        assert text(told).startswith("progress update delivered to planner")
        error = await refusal(session, "contact_supervisor", reason="need_decision")
        assert error["message"] == "Missing 'message' parameter for reason 'need_decision'."
        assert (await refusal(session, "contact_supervisor", reason="help"))["code"] == "E_USAGE"
        error = await refusal(session, "contact_supervisor", reason="interview_request", interview={"questions": []})
        assert error["code"] == "E_INVALID_INTERVIEW"

    talk(scenario)
    wait_until(lambda: len(planner.texts()) == 3, what="the update")
    headings = [each.split("\n")[0] for each in planner.texts()]
    assert headings == [
        "Subagent needs a supervisor decision.",
        "Subagent requests a structured supervisor interview.",
        "Subagent progress update.",
    ]


def test_progress_is_a_task_of_the_team(planner: Peer, worker: Peer) -> None:
    """What a tool reports, `intercom-mux tasks` shows."""

    async def scenario(session: ClientSession) -> None:
        result = await call(session, "intercom_progress", task="parser", percent=40, note="lexer done")
        assert text(result) == "parser: started, 40%, worker-1, lexer done"
        assert "parser: started" in text(await call(session, "intercom_list"))

    talk(scenario)
    assert run("tasks", "--json").json[0]["percent"] == 40


def test_outside_a_team_it_is_a_session_of_its_own(planner: Peer) -> None:
    """Others see it by its name and can write to it; it hears in every result that messages wait."""

    async def scenario(session: ClientSession) -> None:
        def is_listed() -> bool:
            return "desk" in [row["name"] for row in run("list", "--json").json]

        await eventually(is_listed, "the session in the list")
        planner.write({"type": "send", "to": "desk", "message": {**ASK, "expectsReply": False}})
        await eventually(lambda: planner.of_type("delivered"), "the message")
        status = await call(session, "intercom_status")
        assert status.structured_content["name"] == "desk"
        assert text(status).endswith("(1 waiting for you: call intercom_inbox)")
        assert status.structured_content["inbox"] == "1 waiting for you: call intercom_inbox"
        assert text(await call(session, "intercom_inbox")).endswith("\nready?")
        assert text(await call(session, "intercom_inbox")) == "no messages are waiting"
        assert (await refusal(session, "contact_supervisor", reason="progress_update", message="x"))["code"] == (
            "E_NO_SUPERVISOR"
        )

    talk(scenario, "--name", "desk")


def test_a_name_that_cannot_be_one_is_refused() -> None:
    """The rules are those of `intercom-mux name`."""
    done = run("mcp", "--name", "crew/planner")
    assert (done.code, done.out) == (6, "")
    assert done.err.startswith("error: a name is 1 to 64 printable characters without a slash")


def test_errors_name_the_next_step() -> None:
    """Who does not exist, and what does not fit a schema, are answers of the tool; the server goes on."""
    with Peer("planner"):

        async def scenario(session: ClientSession) -> None:
            error = await refusal(session, "intercom_send", to="planer", message="x")
            assert (error["code"], error["hint"].split("?")[0]) == ("E_TARGET_NOT_FOUND", "did you mean planner")
            assert (await refusal(session, "intercom_send", to="x", message=" "))["message"] == (
                "message: must not be blank"
            )
            assert "'message' is a required property" in (await refusal(session, "intercom_send", to="x"))["message"]
            assert "'too' was unexpected" in (await refusal(session, "intercom_list", too="x"))["message"]
            assert "known: intercom_list" in (await refusal(session, "intercom_up"))["hint"]
            await call(session, "intercom_list")

        talk(scenario)


def test_a_broker_that_is_killed_is_back_for_the_ask_and_the_next_call(planner: Peer) -> None:
    """Outside a team the server starts it again; the ask that was waiting gets its reply."""

    async def scenario(session: ClientSession) -> None:
        waiting = asyncio.create_task(session.call_tool("intercom_ask", {"to": "crew/planner", "message": "long?"}))
        await eventually(planner.texts, "the question")
        kill_broker()
        assert "desk (you)" in text(await call(session, "intercom_list"))
        with Peer("planner", role="planner", team=TEAM, answer=echo):
            assert text(await waiting) == "reply from crew/planner:\n\n<long?>"

    start()
    talk(scenario, "--name", "desk")


def test_a_client_that_hangs_up_ends_the_server_and_its_asks(planner: Peer, worker: Peer) -> None:
    """An open ask does not keep the process alive, and is no ask of anybody's any more, or an honest ticket."""
    with RawClient() as client:
        client.initialize()
        ask = {"name": "intercom_ask", "arguments": {"to": "planner", "message": "long?"}}
        client.write(json.dumps({"jsonrpc": "2.0", "id": "ask", "method": "tools/call", "params": ask}))
        wait_until(planner.texts, what="the question")
        begun = time.monotonic()
        assert client.close() == 0
        assert time.monotonic() - begun < 10
    assert not [row for row in open_asks() if row["is_blocking"]]


# -- hostile and strange clients -----------------------------------------------------------------------------------


def test_a_first_message_from_another_age_is_answered() -> None:
    """`server/discover` before `initialize`, as a newer client sends it, gets an answer, and the handshake goes on."""
    with RawClient() as client:
        assert {"result", "error"} & client.request("server/discover").keys()
        assert client.initialize()["result"]["serverInfo"]["name"] == "intercom"
        assert client.request("tools/list")["result"]["tools"]


NONSENSE = (
    "",
    "not json",
    "[]",
    "null",
    '"text"',
    '{"jsonrpc": "2.0"}',
    '{"jsonrpc": "1.0", "id": 7, "method": "tools/list"}',
    '{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}}',
    '{"jsonrpc": "2.0", "id": 7, "result": {}}',
    '{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": 3}}',
    '{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": []}',
    '{"jsonrpc": "2.0", "id": 7, "method": "nothing/such"}',
    "[" * 100_000,
    '{"a":' * 50_000,
    '{"jsonrpc": "2.0", "id": 7, "method": "' + "x" * 3_000_000 + '"}',
    '{"jsonrpc": "2.0", "id": 1e400, "method": "ping"}',
    "\ud7ff\x00\x1b[2J",
)


def test_nonsense_does_not_end_the_server() -> None:
    """Whatever a line holds, the next request is answered, and stdout holds nothing but protocol."""
    with RawClient() as client:
        client.initialize()
        for line in NONSENSE:
            client.write(line)
            assert client.request("ping")["result"] == {}, line[:60]


def test_hostile_arguments_are_refused_or_delivered_whole(planner: Peer) -> None:
    """Control characters and any Unicode arrive as they are; what no frame takes is refused."""
    strange = "/x !y\x00\x1b[2J\u202e𝄞\n#@" + "z" * 100_000
    with RawClient() as client:
        client.initialize()

        def send(message: str) -> Json:
            arguments = {"to": "crew/planner", "message": message}
            result: Json = client.request("tools/call", {"name": "intercom_send", "arguments": arguments})["result"]
            return result

        assert not send(strange)["isError"]
        too_large = send("z" * 2_000_000)
        assert too_large["isError"]
        deep = client.request(
            "tools/call", {"name": "intercom_list", "arguments": json.loads('{"a":' * 60 + "1" + "}" * 60)}
        )
        assert deep["result"]["isError"]
    wait_until(planner.texts, what="the message")
    assert planner.texts() == [strange]


def test_the_result_has_text_for_clients_that_read_nothing_else() -> None:
    """Every result is one text block, which older clients show, beside the structured content."""

    async def scenario(session: ClientSession) -> None:
        result = await session.call_tool("intercom_status", {})
        assert [type(block) for block in result.content] == [types.TextContent]
        assert isinstance(result.structured_content, dict)

    talk(scenario)


WITHOUT_SDK = """
import sys
for name in ("mcp", "mcp_types", "anyio", "jsonschema"):
    sys.modules[name] = None
from intercom_mux._entry import main
sys.exit(main(["mcp"]))
"""


def test_without_the_sdk_the_error_names_the_extra() -> None:
    """One clear line, on stderr; stdout belongs to the protocol."""
    argv = [sys.executable, "-c", WITHOUT_SDK]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: the MCP SDK is not installed\nhint: pip install 'intercom-mux[mcp]'\n"


@pytest.mark.parametrize(
    ("kind", "words"), [("ended", "ended without an answer, in these words"), ("idle", "idle again")]
)
def test_a_turn_without_an_answer_is_told_with_the_open_ask(planner: Peer, worker: Peer, kind: str, words: str) -> None:
    """Whoever comes for the reply hears what the asked did instead."""

    async def scenario(session: ClientSession) -> None:
        asked = await call(session, "intercom_ask", to="planner", message="long?", wait=False)
        ask_id = asked.structured_content["ask_id"]
        note = {"op": "note", "ask": ask_id, "kind": kind, "text": "Shall I?"}
        planner.write({"type": "mux", "requestId": "1", **note})
        (answer,) = await eventually(lambda: planner.of_type("mux_result"), "the note")
        assert answer["ok"], answer
        told = text(await call(session, "intercom_result", ask_id=ask_id))
        assert words in told
        assert told.endswith("\nShall I?")

    talk(scenario)
