"""The scripted model itself, without any agent."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from tests.real.model_server import Call, ModelServer, Say, Shell, reply_with

Json = dict[str, Any]
BASH = {"name": "bash", "parameters": {}}
ASK = '[intercom] from friend · ask 7f3a · reply: intercom-mux reply --to 7f3a "…"\nwhich colour?'


def _post(model: ModelServer, path: str, body: Json) -> str:
    request = urllib.request.Request(model.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def _chat(*messages: Json) -> Json:
    return {"messages": list(messages), "tools": [{"type": "function", "function": BASH}], "stream": True}


def test_a_rule_plays_its_steps_over_a_turn() -> None:
    """The first step answers the prompt, the next one the tool's result; a turn without a rule gets `ok`."""
    user, call = {"role": "user", "content": "eat apples-1"}, {"role": "assistant", "content": ""}
    with ModelServer() as model:
        model.when("apples-1", Shell("touch eaten"), Say("done"))
        assert "touch eaten" in _post(model, "/v1/chat/completions", _chat(user))
        result = {"role": "tool", "content": "eaten all"}
        assert '"done"' in _post(model, "/v1/chat/completions", _chat(user, call, result))
        later = {"role": "user", "content": "thanks"}
        assert '"ok"' in _post(model, "/v1/chat/completions", _chat(user, call, result, call, later))
        assert model.prompts_containing("apples-1") == ["eat apples-1"]
        assert model.results_containing("eaten") == ["eaten all"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages?beta=true", {"messages": [{"role": "user", "content": ASK}], "tools": [{"name": "Bash"}]}),
        (
            "/v1/responses",
            {"input": [{"type": "message", "role": "user", "content": ASK}], "tools": [{"name": "shell"}]},
        ),
        ("/v1/chat/completions", _chat({"role": "user", "content": ASK})),
        (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            {
                "contents": [{"role": "user", "parts": [{"text": ASK}]}],
                "tools": [{"functionDeclarations": [{"name": "run_shell_command"}]}],
            },
        ),
    ],
    ids=["anthropic", "responses", "chat", "gemini"],
)
def test_it_answers_an_ask_in_each_protocol(path: str, body: Json) -> None:
    """The ask in the prompt is answered by the shell tool that the agent offers."""
    with ModelServer() as model:
        model.when("colour", reply_with("blue-42"))
        answer = _post(model, path, {**body, "stream": True})
        assert "intercom-mux reply --to 7f3a" in answer
        assert "blue-42" in answer
        assert len(model.prompts_containing("colour")) == 1


def test_a_tool_is_called_by_the_end_of_its_name() -> None:
    """The name under which an agent offers an MCP tool has a prefix of its own."""
    tools = [{"name": "Bash"}, {"name": "mcp__intercom__reply"}]
    with ModelServer() as model:
        model.when("colour", Call("reply", {"text": "blue"}))
        answer = _post(
            model, "/v1/messages", {"messages": [{"role": "user", "content": ASK}], "tools": tools, "stream": False}
        )
        block = json.loads(answer)["content"][0]
        assert (block["name"], block["input"]) == ("mcp__intercom__reply", {"text": "blue"})


def test_a_title_request_is_no_turn() -> None:
    """What an agent asks on the side, without tools, is answered and not counted."""
    user = {"role": "user", "content": "apples-1"}
    with ModelServer() as model:
        _post(model, "/v1/chat/completions", _chat(user))
        _post(model, "/v1/chat/completions", {"messages": [{"role": "user", "content": "title: apples-1 apples-1"}]})
        assert model.prompts_containing("apples-1") == ["apples-1"]
        assert model.others == ["/v1/chat/completions"]
