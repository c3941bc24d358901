"""The four protocols that agents speak to a model: what a request holds, and how an answer is written. Pure.

An answer is a row of parts, text chunks and at most one tool call at the end; `stream` writes them as server-sent
events while they come, `whole` as one JSON document.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call in an answer."""

    name: str
    arguments: Json


Part = str | ToolUse


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the conversation: words of the user, an answer of the model, or what a tool gave back."""

    kind: Literal["user", "assistant", "result"]
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the model: the conversation so far, oldest first, and the names of the tools it may call."""

    items: tuple[Item, ...]
    tools: tuple[str, ...]

    @property
    def news(self) -> tuple[Item, ...]:
        """What has come since the model's last answer."""
        answers = [index for index, item in enumerate(self.items) if item.kind == "assistant"]
        return self.items[answers[-1] + 1 :] if answers else self.items

    @property
    def prompts(self) -> list[str]:
        """All words of the user, oldest first."""
        return [item.text for item in self.items if item.kind == "user"]

    @property
    def results(self) -> list[str]:
        """All that tools gave back, oldest first."""
        return [item.text for item in self.items if item.kind == "result"]


class Dialect(Protocol):
    """One protocol."""

    def read(self, body: Json) -> Request: ...
    def stream(self, parts: Iterable[Part]) -> Iterator[bytes]: ...
    def whole(self, parts: Iterable[Part]) -> Json: ...


def _event(data: Json, name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:20]}"


def _text(content: Any) -> str:
    """Return the text of a content field: a string, or a list of parts."""
    if isinstance(content, list):
        return "\n".join(_text(part.get("text", part.get("content", ""))) for part in content)
    return content if isinstance(content, str) else json.dumps(content)


class Anthropic:
    """Messages, as claude speaks it."""

    def read(self, body: Json) -> Request:
        items: list[Item] = []
        for message in body["messages"]:
            blocks = message["content"]
            if message["role"] == "assistant":
                items.append(Item("assistant", _text(blocks)))
                continue
            for block in [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks:
                if block["type"] == "tool_result":
                    items.append(Item("result", _text(block.get("content", ""))))
                elif block["type"] == "text":
                    items.append(Item("user", block["text"]))
        return Request(tuple(items), tuple(tool["name"] for tool in body.get("tools") or ()))

    def stream(self, parts: Iterable[Part]) -> Iterator[bytes]:
        def event(name: str, **data: Any) -> bytes:
            return _event({"type": name, **data}, name)

        yield event("message_start", message={**self._message([], None), "stop_reason": None})
        index, is_open, stop = 0, False, "end_turn"
        for part in parts:
            if isinstance(part, str):
                if not is_open:
                    yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
                    is_open = True
                yield event("content_block_delta", index=index, delta={"type": "text_delta", "text": part})
                continue
            if is_open:
                yield event("content_block_stop", index=index)
                index, is_open = index + 1, False
            block = {"type": "tool_use", "id": _id("toolu"), "name": part.name, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(part.arguments)}
            yield event("content_block_start", index=index, content_block=block)
            yield event("content_block_delta", index=index, delta=delta)
            yield event("content_block_stop", index=index)
            stop = "tool_use"
        if is_open:
            yield event("content_block_stop", index=index)
        yield event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 5})
        yield event("message_stop")

    def whole(self, parts: Iterable[Part]) -> Json:
        blocks: list[Json] = []
        for part in parts:
            if isinstance(part, str):
                blocks.append({"type": "text", "text": part})
            else:
                blocks.append({"type": "tool_use", "id": _id("toolu"), "name": part.name, "input": part.arguments})
        return self._message(blocks, "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn")

    def _message(self, blocks: list[Json], stop: str | None) -> Json:
        return {
            "id": _id("msg"),
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": blocks,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 5},
        }


class Responses:
    """OpenAI Responses, as codex speaks it."""

    def read(self, body: Json) -> Request:
        items: list[Item] = []
        for item in body["input"]:
            kind = item.get("type", "message")
            if kind == "message" and item["role"] in ("user", "developer"):
                # What a hook adds beside an event comes as the developer's words.
                items.append(Item("user", _text(item["content"])))
            elif kind == "message" and item["role"] == "assistant":
                items.append(Item("assistant", _text(item["content"])))
            elif kind.endswith("_call"):
                items.append(Item("assistant", item.get("arguments", "")))
            elif kind.endswith("_call_output"):
                items.append(Item("result", _text(item["output"])))
        return Request(tuple(items), tuple(_tool_names(body.get("tools") or ())))

    def stream(self, parts: Iterable[Part]) -> Iterator[bytes]:
        def event(name: str, **data: Any) -> bytes:
            return _event({"type": name, **data}, name)

        def message(text: str) -> Json:
            content = [{"type": "output_text", "text": text, "annotations": []}] if text else []
            return {"type": "message", "id": message_id, "role": "assistant", "content": content}

        response, message_id, text = _id("resp"), _id("msg"), ""
        yield event("response.created", response={"id": response})
        for part in parts:
            if isinstance(part, str):
                if not text:
                    yield event("response.output_item.added", output_index=0, item=message(""))
                text += part
                place = {"output_index": 0, "content_index": 0, "item_id": message_id}
                yield event("response.output_text.delta", **place, delta=part)
                continue
            if text:
                yield event("response.output_item.done", output_index=0, item=message(text))
                text = ""
            namespace, _, name = part.name.rpartition("/")
            call = {"type": "function_call", "id": _id("fc"), "call_id": _id("call"), "name": name}
            if namespace:
                call["namespace"] = namespace
            arguments = json.dumps(part.arguments)
            yield event("response.output_item.done", output_index=1, item={**call, "arguments": arguments})
        if text:
            yield event("response.output_item.done", output_index=0, item=message(text))
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        yield event("response.completed", response={"id": response, "usage": usage})

    def whole(self, parts: Iterable[Part]) -> Json:
        text = "".join(part for part in parts if isinstance(part, str))
        content = [{"type": "output_text", "text": text, "annotations": []}]
        return {"id": _id("resp"), "output": [{"type": "message", "role": "assistant", "content": content}]}


class ChatCompletions:
    """OpenAI chat completions, as opencode, pi and aider speak it."""

    def read(self, body: Json) -> Request:
        kinds: dict[str, Literal["user", "assistant", "result"]] = {
            "user": "user",
            "assistant": "assistant",
            "tool": "result",
        }
        items = [
            Item(kinds[message["role"]], _text(message.get("content") or ""))
            for message in body["messages"]
            if message["role"] in kinds
        ]
        return Request(tuple(items), tuple(_tool_names(body.get("tools") or ())))

    def stream(self, parts: Iterable[Part]) -> Iterator[bytes]:
        common = {"id": _id("chat"), "object": "chat.completion.chunk", "created": 1, "model": "scripted"}

        def chunk(delta: Json, finish: str | None = None) -> bytes:
            return _event({**common, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

        yield chunk({"role": "assistant", "content": ""})
        finish = "stop"
        for part in parts:
            if isinstance(part, str):
                yield chunk({"content": part})
            else:
                yield chunk({"tool_calls": [{"index": 0, **_function(part)}]})
                finish = "tool_calls"
        yield chunk({}, finish)
        yield _event({**common, "choices": [], "usage": _USAGE})
        yield b"data: [DONE]\n\n"

    def whole(self, parts: Iterable[Part]) -> Json:
        given = list(parts)
        calls = [_function(part) for part in given if isinstance(part, ToolUse)]
        message: Json = {"role": "assistant", "content": "".join(part for part in given if isinstance(part, str))}
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
        return {
            "id": _id("chat"),
            "object": "chat.completion",
            "created": 1,
            "model": "scripted",
            "choices": [choice],
            "usage": _USAGE,
        }


_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def _function(use: ToolUse) -> Json:
    function = {"name": use.name, "arguments": json.dumps(use.arguments)}
    return {"id": _id("call"), "type": "function", "function": function}


def _tool_names(tools: Iterable[Json]) -> Iterator[str]:
    """Yield the names of tools; those of a namespace, as codex has one for each MCP server, as `namespace/name`."""
    for tool in tools:
        if tool.get("type") == "namespace":
            yield from (f"{tool['name']}/{inner['name']}" for inner in tool.get("tools", ()))
            continue
        yield tool.get("name") or tool.get("function", {}).get("name") or tool["type"]


class Gemini:
    """generateContent, as gemini speaks it."""

    def read(self, body: Json) -> Request:
        items: list[Item] = []
        for content in body["contents"]:
            for part in content.get("parts", ()):
                if content.get("role") == "model":
                    items.append(Item("assistant", part.get("text", "")))
                elif "functionResponse" in part:
                    items.append(Item("result", json.dumps(part["functionResponse"].get("response"))))
                elif "text" in part:
                    items.append(Item("user", part["text"]))
        tools = [tool["name"] for entry in body.get("tools") or () for tool in entry.get("functionDeclarations", ())]
        return Request(tuple(items), tuple(tools))

    def stream(self, parts: Iterable[Part]) -> Iterator[bytes]:
        for part in parts:
            yield _event(self._chunk([part], None))
        yield _event(self._chunk([""], "STOP"))

    def whole(self, parts: Iterable[Part]) -> Json:
        return self._chunk(list(parts), "STOP")

    def _chunk(self, parts: list[Part], finish: str | None) -> Json:
        written: list[Json] = [
            {"text": part} if isinstance(part, str) else {"functionCall": {"name": part.name, "args": part.arguments}}
            for part in parts
        ]
        candidate: Json = {"content": {"role": "model", "parts": written}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"}
