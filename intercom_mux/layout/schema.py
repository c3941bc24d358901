"""The layout format as JSON Schema (draft 2020-12), for editors; the loader is the judge, and stricter.

What only the whole file can tell is not in it: names that refer to others, values of variables, files that exist. A
value with a variable is accepted wherever text is, since the loader replaces it first.
"""

from __future__ import annotations

from typing import Any

from intercom_mux.layout import lifecycle
from intercom_mux.layout.arrange import SIZE_PATTERN
from intercom_mux.layout.load import KEYS
from intercom_mux.layout.model import (
    ARRANGEMENTS,
    CONDITIONS,
    KEEP,
    MULTIPLEXERS,
    NAME_PATTERN,
    ON_FAILURE,
    RESTARTS,
    SCOPES,
    VARIABLE_PATTERN,
)
from intercom_mux.layout.peers import EXCLUSIVE, MAX_COUNT, MAX_PEERS, PEER_KEYS, ROLE_KEYS, SHARED_KEYS
from intercom_mux.layout.variables import DECLARATION_KEYS, MAX_NUMBER, TYPES

Json = dict[str, Any]

_VARIABLE = {"type": "string", "pattern": r"\$\{"}
_TEXT: Json = {"type": ["string", "number"]}
_WORD: Json = {"type": ["string", "number", "boolean"]}
_FLAG: Json = {"anyOf": [{"type": "boolean"}, _VARIABLE]}
_LINE: Json = {"type": ["string", "number"], "pattern": r"\S"}
_WORDS: Json = {"anyOf": [_LINE, {"type": "array", "items": _TEXT, "minItems": 1}]}
_NOTHING: Json = {"type": "null"}


def layout_schema() -> Json:
    """Return the schema of a layout file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "intercom-mux layout, version 1",
        **_object(KEYS, _top_level()),
        "required": ["version"],
        "anyOf": [{"required": [key]} for key in ("peers", "extends", "include")],
        "$defs": {
            "node": {"anyOf": [_LINE, {"$ref": "#/$defs/split"}]},
            "split": _split({"size": _pattern(SIZE_PATTERN)}),
        },
    }


def _top_level() -> dict[str, Json]:
    name = _pattern(f"^({NAME_PATTERN})$")
    variable = {"anyOf": [_WORD, _object(DECLARATION_KEYS, _declaration())]}
    named = {"propertyNames": {"pattern": f"^({NAME_PATTERN})$"}}
    commands = {"anyOf": [_command(), {"type": "array", "items": _command()}]}
    shared = _settings()
    apart = [{"not": {"required": list(pair)}} for pair in EXCLUSIVE]
    peer = _nullable(_object(PEER_KEYS, shared | _peer_only()) | {"allOf": apart})
    return {
        "version": {"enum": [1, "1"]},
        "extends": {"type": "string", "pattern": r"\S"},
        "include": {"anyOf": [_LINE, {"type": "array", "items": _LINE}]},
        "name": name,
        "description": {"type": ["string", "number"]},
        "vars": _nullable({"type": "object", "additionalProperties": variable, **_keys(VARIABLE_PATTERN)}),
        "mux": _choice(MULTIPLEXERS),
        "arrange": {"anyOf": [_choice(ARRANGEMENTS), _tree()]},
        "focus": _LINE,
        "supervisor": _LINE,
        "board": _FLAG,
        "scope": _choice(SCOPES),
        "agents": _nullable({"type": "object", "additionalProperties": {"type": "object"}, **named}),
        "notify": _WORDS,
        "secrets": {"anyOf": [_LINE, {"type": "array", "items": _pattern(f"^({VARIABLE_PATTERN})$")}]},
        "before_up": commands,
        "after_up": commands,
        "before_down": commands,
        "defaults": _nullable(_object(SHARED_KEYS, shared)),
        "roles": _nullable({"type": "object", "additionalProperties": _nullable(_object(ROLE_KEYS, shared))}),
        "peers": {"type": "object", "minProperties": 1, "maxProperties": MAX_PEERS, "additionalProperties": peer}
        | named,
    }


def _settings() -> dict[str, Json]:
    """Return what `defaults`, roles and peers have in common."""
    part = {"anyOf": [_TEXT, {**_object(("file",), {"file": _LINE}), "required": ["file"]}]}
    restart = {
        "policy": _restart_word(),
        "max_retries": _whole(0, lifecycle.MAX_RETRIES),
        "backoff_s": _whole(0, lifecycle.MAX_BACKOFF_S),
    }
    resources = {
        "nice": _whole(0, lifecycle.MAX_NICE),
        "memory_mb": _whole(lifecycle.MIN_MEMORY_MB, lifecycle.MAX_MEMORY_MB),
    }
    worktree = {"branch": _LINE, "base": _LINE, "setup": _WORDS, "keep": _choice(KEEP)}
    return {
        "role": _pattern(r"^\S{1,48}$"),
        "agent": _pattern(f"^({NAME_PATTERN})$"),
        "model": _LINE,
        "cwd": _LINE,
        "env": _nullable({"type": "object", "additionalProperties": _TEXT, **_keys(VARIABLE_PATTERN)}),
        "env_file": {"anyOf": [_LINE, {"type": "array", "items": _LINE}]},
        "prompt": {"anyOf": [part, {"type": "array", "items": part}]},
        "trust": _FLAG,
        "worktree": {"anyOf": [_FLAG, _object(lifecycle.WORKTREE_KEYS, worktree)]},
        "restart": {"anyOf": [_restart_word(), {**_object(lifecycle.RESTART_KEYS, restart), "required": ["policy"]}]},
        "resources": _nullable(_object(lifecycle.RESOURCE_KEYS, resources)),
    }


def _peer_only() -> dict[str, Json]:
    conditions = {"type": "object", "additionalProperties": _choice(CONDITIONS)}
    return {
        "command": _WORDS,
        "count": _whole(1, MAX_COUNT),
        "reference": _LINE,
        "depends_on": {"anyOf": [_LINE, {"type": "array", "items": _LINE}, conditions]},
    }


def _declaration() -> dict[str, Json]:
    limit = _whole(0, MAX_NUMBER)
    choices = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
    return {
        "type": _choice(TYPES),
        "default": _WORD,
        "min": limit,
        "max": limit,
        "choices": choices,
        "description": _TEXT,
    }


def _command() -> Json:
    parts = {
        "run": _WORDS,
        "cwd": _LINE,
        "timeout_s": _whole(1, lifecycle.MAX_TIMEOUT_S),
        "on_failure": _choice(ON_FAILURE),
    }
    return {"anyOf": [_LINE, {**_object(lifecycle.COMMAND_KEYS, parts), "required": ["run"]}]}


def _tree() -> Json:
    children = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/node"}}
    window = _split({"name": _LINE})
    window["required"] = ["name"]
    windows = {"type": "array", "minItems": 1, "items": window}
    forms: dict[str, Json] = {"columns": children, "rows": children, "windows": windows}
    return {
        "type": "object",
        "properties": forms,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _split(more: dict[str, Json]) -> Json:
    children = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/node"}}
    forms: dict[str, Json] = {"columns": children, "rows": children, "peer": _LINE}
    known = {**forms, "focus": _FLAG, **more}
    one = [{"required": [form]} for form in forms]
    return {"type": "object", "properties": known, "additionalProperties": False, "oneOf": one} | {
        "dependentRequired": {"focus": ["peer"]}
    }


def _object(keys: tuple[str, ...], properties: dict[str, Json]) -> Json:
    """Return a mapping with exactly `keys`, in their order."""
    return {"type": "object", "properties": {key: properties[key] for key in keys}, "additionalProperties": False}


def _nullable(schema: Json) -> Json:
    return {"anyOf": [schema, _NOTHING]}


def _choice(options: tuple[str, ...]) -> Json:
    return {"anyOf": [{"enum": list(options)}, _VARIABLE]}


def _restart_word() -> Json:
    """Return the policies; YAML reads an unquoted `no` as false."""
    return {"anyOf": [{"enum": [*RESTARTS, False]}, _VARIABLE]}


def _pattern(pattern: str) -> Json:
    return {"anyOf": [{"type": "string", "pattern": pattern}, {"type": "integer"}, _VARIABLE]}


def _keys(pattern: str) -> Json:
    return {"propertyNames": {"pattern": f"^({pattern})$"}}


def _whole(low: int, high: int) -> Json:
    return {
        "anyOf": [
            {"type": "integer", "minimum": low, "maximum": high},
            {"type": "string", "pattern": "^[0-9]{1,6}$"},
            _VARIABLE,
        ]
    }
