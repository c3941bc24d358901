"""From the raw data of a profile to a `Profile`: strict, every fault told at once with its line and column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intercom_mux.agents.profile import (
    CONDITIONS,
    DIALECTS,
    HOOK_STATES,
    LINES,
    OPTIONAL,
    PLACEHOLDER,
    PLACEHOLDERS,
    QUEUE_PLACEHOLDERS,
    ROUTES,
    STATES,
    TERMINALS,
    ComposerRules,
    Generated,
    HookEvent,
    HookRules,
    PasteRules,
    Pattern,
    Profile,
    QueueRules,
    StatusPattern,
    VersionRules,
    Words,
)
from intercom_mux.agents.profile_fields import Fields, kind_of
from intercom_mux.agents.profile_tree import Tree, assemble
from intercom_mux.layout.problems import Guess, Problems, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intercom_mux.agents.profile_tree import Layer

_PRIORITY = {"blocked": 900, "starting": 700, "tool": 500, "thinking": 500, "idle": 100}
"""Priority of a status pattern that names none."""

_NAMED = ("blocked", "tool")
"""States that say what: by the key, or by a group `what` of a regex."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_profile(name: str, layers: Sequence[Layer]) -> Profile:
    """Read and check the profile `name` of the strongest of `layers` (the last) that has it.

    Raises:
        LayoutError: It cannot be read or is not valid (`E_PROFILE`); `problems` lists every fault.
    """
    source = next(layer[name] for layer in reversed(layers) if name in layer)
    path = source if isinstance(source, Path) else source.mark("").path
    problems = Problems(path)
    profile = check_profile(name, layers, problems)
    problems.raise_any(then="intercom-mux agents", code="E_PROFILE")
    assert profile is not None  # noqa: S101 - without a problem there is a profile
    return profile


def check_profile(name: str, layers: Sequence[Layer], problems: Problems, prefix: str = "") -> Profile | None:
    """Return the profile `name`, sound only if no problem was noted; `prefix` stands before its keys in messages."""
    before = len(problems)
    tree = assemble(name, layers, problems, prefix)
    if tree is None:
        return None
    fields = Fields(tree.data, "", tree, problems, prefix)
    profile = _profile(name, tree, fields)
    fields.close()
    if len(problems) == before:
        for key, problem in _contradictions(profile):
            fields.complain(key, problem)
    return profile


def _profile(name: str, tree: Tree, fields: Fields) -> Profile:
    fields.take("extends", str)
    ready = fields.table("ready")
    ready_settle_ms = ready.number("settle_ms", 0) if ready else 0
    return Profile(
        name=name,
        path=tree.mark("").path,
        binaries=fields.texts("binaries"),
        argv=(*_argv(fields, "argv"), *_argv(fields, "args")),
        routes=_routes(fields),
        reply="mcp" if fields.choice("reply", ("cli", "mcp")) == "mcp" else "cli",
        version=_version(fields),
        env=_env(fields),
        unset=fields.texts("unset"),
        files=_files(fields),
        hooks=_hooks(fields),
        osc7501=fields.flag("osc7501"),
        queue=_queue(fields),
        status=_status(fields),
        composer=_composer(fields),
        paste=_paste(fields),
        ready=_pattern(ready) if ready else None,
        ready_settle_ms=ready_settle_ms,
        ready_timeout_s=fields.number("ready_timeout_s", 60),
        tool_timeout_s=fields.number("tool_timeout_s", 0) or None,
        auto=fields.flag("auto"),
        install=fields.text("install"),
        trust=fields.text("trust"),
        quirks=fields.texts("quirks"),
        data={key: value for key, value in tree.data.items() if key != "extends"},
    )


# -- how it is started -----------------------------------------------------------------------------------------------


def _argv(fields: Fields, key: str) -> tuple[Words, ...]:
    parts: list[Words] = []
    for index, part in enumerate(fields.items(key)):
        place = f"{key}[{index}]"
        words: Any = part if isinstance(part, list) else [part]
        condition = None
        if isinstance(part, dict):
            words, condition = part.get("words"), part.get("if")
            _condition(fields, place, condition)
            for name in part.keys() - {"if", "words"}:
                fields.complain(f"{place}.{name}", "unknown key", Guess(name, ("if", "words"), "known here:"))
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            fields.complain(place, "must be text, a list of texts, or {if: …, words: […]}")
            continue
        for word in words:
            absent = _placeholders(fields, place, word)
            if absent and isinstance(part, str):
                fields.complain(place, f"{{{absent[0]}}} may be absent: put it in a group of its own, as a list")
        parts.append(Words(tuple(words), condition))
    return tuple(parts)


def _placeholders(fields: Fields, key: str, text: str, known: tuple[str, ...] = PLACEHOLDERS) -> list[str]:
    """Note what `text` refers to in vain; return what it refers to that may be absent."""
    names = [match[1] for match in PLACEHOLDER.finditer(text)]
    for name in names:
        if name not in known:
            fields.complain(key, f"unknown placeholder {{{name}}}", Guess(name, known, "there is"))
    return [name for name in names if name in OPTIONAL]


def _condition(fields: Fields, key: str, condition: Any) -> None:
    if not isinstance(condition, str) or condition not in CONDITIONS:
        word = condition if isinstance(condition, str) else ""
        fields.complain(key, f"if: must be one of {', '.join(CONDITIONS)}", Guess(word, CONDITIONS))


def _env(fields: Fields) -> tuple[Generated, ...]:
    variables = []
    for name, value in fields.mapping("env"):
        if not _VARIABLE.fullmatch(name):
            fields.complain(f"env.{name}", "a variable is named with letters, digits and underscore")
        variables.append(_generated(fields, "env", name, value))
    return tuple(one for one in variables if one is not None)


def _files(fields: Fields) -> tuple[Generated, ...]:
    files = []
    for name, value in fields.mapping("files"):
        if not _PLAIN_NAME.fullmatch(name):
            fields.complain(f"files.{name}", "a file is named without a directory, a letter or digit first")
        files.append(_generated(fields, "files", name, value))
    return tuple(one for one in files if one is not None)


def _generated(fields: Fields, key: str, name: str, value: Any) -> Generated | None:
    """Return what `value` makes: a text, `{text: …}` or `{json: …}`, the latter two with an `if:`."""
    place = f"{key}.{name}"
    if isinstance(value, str):
        _placeholders(fields, place, value)
        return Generated(name, value)
    if not isinstance(value, dict) or len(value.keys() & {"text", "json"}) != 1:
        quoting = "; quote it" if isinstance(value, (bool, int)) else ""
        fields.complain(place, f"must be text, {{text: …}} or {{json: …}}, not {kind_of(value)}{quoting}")
        return None
    for other in value.keys() - {"text", "json", "if"}:
        fields.complain(f"{place}.{other}", "unknown key", Guess(other, ("text", "json", "if"), "known here:"))
    if "if" in value:
        _condition(fields, place, value["if"])
    content = value.get("text", value.get("json"))
    if "text" in value and not isinstance(content, str):
        fields.complain(f"{place}.text", f"must be text, not {kind_of(content)}")
    _check_json(fields, f"{place}.{'text' if 'text' in value else 'json'}", content)
    return Generated(name, content, value.get("if"))


def _check_json(fields: Fields, key: str, value: Any) -> None:
    if isinstance(value, str):
        _placeholders(fields, key, value)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_json(fields, f"{key}[{index}]", item)
    elif isinstance(value, dict):
        if "if" in value:
            _condition(fields, key, value["if"])
            if set(value) != {"if", "then"}:
                fields.complain(key, "a choice is written {if: …, then: …}")
        for name, item in value.items():
            _check_json(fields, f"{key}.{name}", item)


def _version(fields: Fields) -> VersionRules:
    table = fields.table("version")
    default = VersionRules()
    if table is None:
        return default
    argv = table.texts("argv") or default.argv
    for word in argv:
        _placeholders(table, "argv", word, ("binary", "python"))
    rules = VersionRules(argv, table.regex("pattern") or default.pattern)
    table.close()
    return rules


# -- how messages reach it -------------------------------------------------------------------------------------------


def _routes(fields: Fields) -> tuple[str, ...]:
    routes = fields.choices("routes", ROUTES)
    if "routes" not in fields:
        fields.complain("routes", f"is missing: name one or several of {', '.join(ROUTES)}")
    return routes


def _hooks(fields: Fields) -> HookRules | None:
    table = fields.table("hooks")
    if table is None:
        return None
    output = table.choice("output", DIALECTS)
    if output is None:
        table.complain("output", f"is needed: one of {', '.join(DIALECTS)}")
    condition = table.text("if")
    if condition is not None:
        _condition(table, "if", condition)
    events = {name: _hook_event(event) for name, event in table.named_tables("events")}
    table.close()
    return HookRules(output or DIALECTS[0], events, condition)


def _hook_event(fields: Fields) -> HookEvent:
    when = dict(fields.mapping("when"))
    if not all(value is None or isinstance(value, str) for value in when.values()):
        fields.complain("when", "must be a mapping of keys of the payload to texts, or to nothing: ~")
        when = {}
    gives = fields.choice("gives", ("context", "block"))
    event = HookEvent(
        state=fields.choice("state", HOOK_STATES),
        what=fields.text("what"),
        when=when,
        prompt=fields.text("prompt"),
        answer=fields.text("answer"),
        gives="context" if gives == "context" else "block" if gives == "block" else None,
    )
    if (event.what is not None) is not (event.state in _NAMED):
        fields.complain("what", "is needed" if event.state in _NAMED else f"means nothing for {event.state}")
    fields.close()
    return event


def _queue(fields: Fields) -> QueueRules | None:
    table = fields.table("queue")
    if table is None:
        return None
    argv = table.texts("argv")
    for word in argv:
        _placeholders(table, "argv", word, QUEUE_PLACEHOLDERS)
    if not any("{message}" in word for word in argv):
        table.complain("argv", "must have a place for {message}")
    table.close()
    return QueueRules(argv)


def _paste(fields: Fields) -> PasteRules:
    table = fields.table("paste")
    default = PasteRules()
    if table is None:
        return default
    rules = PasteRules(
        settle_ms=table.number("settle_ms", default.settle_ms),
        verify_ms=table.number("verify_ms", default.verify_ms),
        pause_ms=table.number("pause_ms", default.pause_ms),
        body_limit=table.number("body_limit", default.body_limit),
        line_limit=table.number("line_limit", default.line_limit),
        can_run_commands=table.flag("can_run_commands"),
        marker=table.regex("marker"),
        queued=table.regex("queued"),
    )
    table.close()
    return rules


# -- how its status is told ------------------------------------------------------------------------------------------


def _status(fields: Fields) -> tuple[StatusPattern, ...]:
    patterns = []
    for entry in fields.tables("status"):
        state = entry.choice("state", STATES)
        what = entry.text("what")
        priority = entry.number("priority", _PRIORITY[state or "idle"])
        evidence = _pattern(entry)
        names_something = what is not None or any("what" in regex.groupindex for regex in _regexes(evidence))
        if state is None:
            if "state" not in entry:
                entry.complain("state", f"is needed: one of {', '.join(STATES)}")
            continue
        if names_something is not (state in _NAMED):
            entry.complain("what", "is needed" if state in _NAMED else f"means nothing for {state}")
        patterns.append(StatusPattern(state, evidence, what, priority))
    return tuple(sorted(patterns, key=lambda pattern: -pattern.priority))


def _regexes(pattern: Pattern) -> Iterator[re.Pattern[str]]:
    yield from (one for one in (pattern.title, pattern.command, *pattern.screen) if one is not None)


def _pattern(fields: Fields) -> Pattern:
    pattern = Pattern(
        title=fields.regex("title"),
        command=fields.regex("command"),
        screen=fields.regexes("screen"),
        lines=fields.number("lines", LINES),
        terminal=fields.choice("terminal", TERMINALS),
    )
    if not any(key in fields for key in ("title", "command", "screen")):
        fields.complain("", "needs title, command or screen")
    fields.close()
    return pattern


def _composer(fields: Fields) -> ComposerRules | None:
    table = fields.table("composer")
    if table is None:
        return None
    pattern = table.regex("pattern")
    rules = ComposerRules(
        pattern or re.compile("(?P<draft>)"), table.regexes("placeholders"), table.regex("continuation")
    )
    if pattern is None or "draft" not in pattern.groupindex:
        table.complain("pattern", "must be a regex with a group named draft")
    table.close()
    return rules


# -- what does not fit together --------------------------------------------------------------------------------------


def _contradictions(profile: Profile) -> Iterator[tuple[str, str]]:
    """Yield what is wrong between fields that are each right, with the key to point at."""
    idle = [pattern.priority for pattern in profile.status if pattern.state == "idle"]
    blocked = [pattern.priority for pattern in profile.status if pattern.state == "blocked"]
    if idle and blocked and max(idle) >= min(blocked):
        yield "status", "a blocked pattern must have a higher priority than every idle one"
    if profile.binaries and not profile.takes("binary"):
        yield "argv", "binaries are listed but {binary} is not used"
    if profile.takes("binary") and not profile.binaries:
        yield "argv", "uses {binary} but lists no binaries"
    if profile.takes("secret"):
        yield "argv", "{secret} would stand in the process list; put it into env or files"
    for route, (is_possible, need) in _needs(profile).items():
        if route in profile.routes and not is_possible:
            yield "routes", f"{route} needs {need}"
    if "inbox" in profile.routes[:-1]:
        yield "routes", f"nothing can come after inbox, which takes every message: {quoted(profile.routes[-1])}"


def _needs(profile: Profile) -> dict[str, tuple[bool, str]]:
    """Return what each route cannot be without: whether the profile has it, and its name."""
    events = profile.hooks.events.values() if profile.hooks else ()
    in_env = {name for one in profile.env for name in PLACEHOLDER.findall(str(one.content))}
    is_idle_known = any(pattern.state == "idle" for pattern in profile.status)
    return {
        "native": (any(name == "session" for name, _ in in_env), "{session} in env, so that its client takes that id"),
        "hook": (any(event.gives for event in events), "hooks with an event that gives messages"),
        "http": (profile.takes("port"), "{port} in argv"),
        "queue": (profile.queue is not None, "queue"),
        "paste": (
            is_idle_known and profile.composer is not None,
            "an idle status pattern and a composer, or nothing could ever be typed",
        ),
    }
