"""Reading one profile file: strict, every fault reported at once. The only reader of YAML for `profile`."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import yaml

from intercom_mux.agents.profile import (
    LINES,
    OPTIONAL_PLACEHOLDERS,
    PLACEHOLDER,
    PLACEHOLDERS,
    ROUTES,
    STATES,
    ComposerRules,
    PasteRules,
    Pattern,
    Profile,
    StatusPattern,
)
from intercom_mux.errors import LayoutError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PRIORITY = {"blocked": 900, "starting": 700, "tool": 500, "thinking": 500, "idle": 100}
"""Priority of a status pattern that names none."""

_NAMED = ("blocked", "tool")
"""States that say what: by the key, or by a group `what` of a regex."""

_LARGEST = 1_000_000
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_profile(path: Path) -> Profile:
    """Read and check one profile.

    Raises:
        LayoutError: It cannot be read or is not valid; `problems` lists every fault.
    """
    problems: list[str] = []
    fields = _Fields(_load(path), "", problems)
    profile = _profile(path, fields)
    fields.close()
    problems += () if problems else _contradictions(profile)
    if problems:
        raise _invalid(path, problems)
    return profile


def _load(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(path, [f"cannot be read: {error}"]) from error
    except yaml.YAMLError as error:
        raise _invalid(path, [" ".join(str(error).split())]) from error


def _invalid(path: Path, problems: list[str]) -> LayoutError:
    lines = "".join(f"\n  {problem}" for problem in problems)
    return LayoutError(
        f"agent profile {path} is not valid:{lines}",
        hint=f"mend or remove {path}",
        code="E_PROFILE",
        path=str(path),
        problems=problems,
    )


def _profile(path: Path, fields: _Fields) -> Profile:
    ready = fields.table("ready")
    ready_settle_ms = ready.number("settle_ms", 0) if ready else 0
    return Profile(
        name=path.stem,
        path=path,
        binaries=fields.texts("binaries"),
        argv=_argv(fields),
        route=fields.choice("route", ROUTES),
        env=_env(fields),
        unset=fields.texts("unset"),
        status=_status(fields),
        composer=_composer(fields),
        paste=_paste(fields),
        ready=_pattern(ready) if ready else None,
        ready_settle_ms=ready_settle_ms,
        ready_timeout_s=fields.number("ready_timeout_s", 60),
        tool_timeout_s=fields.number("tool_timeout_s", 0) or None,
        auto=fields.flag("auto"),
        install=fields.text("install"),
        quirks=fields.texts("quirks"),
    )


def _argv(fields: _Fields) -> tuple[str | tuple[str, ...], ...]:
    parts: list[str | tuple[str, ...]] = []
    for index, part in enumerate(fields.items("argv")):
        is_group = isinstance(part, list)
        words = part if is_group else [part]
        if not words or not all(isinstance(word, str) for word in words):
            fields.complain(f"argv[{index}]", "must be text or a list of texts")
            continue
        for name in (name for word in words for name in PLACEHOLDER.findall(word)):
            if name not in PLACEHOLDERS:
                fields.complain(f"argv[{index}]", f"unknown placeholder {{{name}}}{_near(name, PLACEHOLDERS)}")
            elif name in OPTIONAL_PLACEHOLDERS and not is_group:
                fields.complain(f"argv[{index}]", f"{{{name}}} may be absent: put it in a group of its own, as a list")
        parts.append(tuple(words) if is_group else words[0])
    return tuple(parts)


def _env(fields: _Fields) -> dict[str, str]:
    raw = fields.take("env", dict) or {}
    if not all(isinstance(key, str) and isinstance(value, str) for key, value in raw.items()):
        fields.complain("env", "names and values must be text; quote numbers and booleans")
        return {}
    return dict(raw)


def _status(fields: _Fields) -> tuple[StatusPattern, ...]:
    patterns = []
    for entry in fields.tables("status"):
        state = entry.choice("state", STATES)
        what = entry.text("what")
        priority = entry.number("priority", _PRIORITY[state])
        evidence = _pattern(entry)
        names_something = what is not None or any("what" in regex.groupindex for regex in _regexes(evidence))
        if names_something is not (state in _NAMED):
            entry.complain("what", "is needed" if state in _NAMED else f"means nothing for {state}")
        patterns.append(StatusPattern(state, evidence, what, priority))
    return tuple(sorted(patterns, key=lambda pattern: -pattern.priority))


def _regexes(pattern: Pattern) -> Iterator[re.Pattern[str]]:
    yield from (one for one in (pattern.title, pattern.command, *pattern.screen) if one is not None)


def _pattern(fields: _Fields) -> Pattern:
    pattern = Pattern(
        title=fields.regex("title"),
        command=fields.regex("command"),
        screen=fields.regexes("screen"),
        lines=fields.number("lines", LINES),
    )
    if pattern.title is None and pattern.command is None and not pattern.screen:
        fields.complain("", "needs title, command or screen")
    fields.close()
    return pattern


def _composer(fields: _Fields) -> ComposerRules | None:
    table = fields.table("composer")
    if table is None:
        return None
    pattern = table.regex("pattern")
    rules = ComposerRules(pattern or re.compile("(?P<draft>)"), table.regexes("placeholders"))
    if pattern is None or "draft" not in pattern.groupindex:
        table.complain("pattern", "must be a regex with a group named draft")
    table.close()
    return rules


def _paste(fields: _Fields) -> PasteRules:
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


def _contradictions(profile: Profile) -> Iterator[str]:
    """Yield what is wrong between fields that are each right."""
    idle = [pattern.priority for pattern in profile.status if pattern.state == "idle"]
    blocked = [pattern.priority for pattern in profile.status if pattern.state == "blocked"]
    if idle and blocked and max(idle) >= min(blocked):
        yield "status: a blocked pattern must have a higher priority than every idle one"
    if profile.route == "paste" and (not idle or profile.composer is None):
        yield "route: paste needs an idle status pattern and a composer, or nothing could ever be typed"
    if profile.binaries and not profile.takes("binary"):
        yield "argv: binaries are listed but {binary} is not used"
    if profile.takes("binary") and not profile.binaries:
        yield "argv: uses {binary} but lists no binaries"


def _near(word: str, known: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


class _Fields:
    """One mapping of the file, read key by key; faults are collected, never raised.

    `close` reports the keys that nobody asked for, so it comes last.
    """

    def __init__(self, raw: Any, where: str, problems: list[str]) -> None:
        self._where = where
        self._problems = problems
        self._asked: list[str] = []
        self._raw: dict[Any, Any] = raw if isinstance(raw, dict) else {}
        if not isinstance(raw, dict):
            self.complain("", "must be a mapping")

    def complain(self, key: str, problem: str) -> None:
        place = ".".join(part for part in (self._where, key) if part)
        self._problems.append(f"{place}: {problem}" if place else problem)

    def close(self) -> None:
        for key in self._raw:
            if key not in self._asked:
                self.complain(str(key), f"unknown key{_near(str(key), self._asked)}")

    def take(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """Return the value if it is of `kind`, else None; a bool is not a number."""
        self._asked.append(key)
        value = self._raw.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            names = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
            self.complain(key, f"must be {names}, not {type(value).__name__}")
            return None
        return value

    def text(self, key: str) -> str | None:
        value: str | None = self.take(key, str)
        return value

    def flag(self, key: str) -> bool:
        return bool(self.take(key, bool))

    def number(self, key: str, default: int) -> int:
        value = self.take(key, int)
        if value is None:
            return default
        if not 0 <= value <= _LARGEST:
            self.complain(key, f"must be between 0 and {_LARGEST}")
        return int(value)

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.text(key)
        if value in allowed:
            return value
        if value is not None or self._raw.get(key) is None:
            self.complain(key, f"must be one of {', '.join(allowed)}{_near(value or '', allowed)}")
        return allowed[0]

    def items(self, key: str) -> list[Any]:
        return self.take(key, list) or []

    def texts(self, key: str) -> tuple[str, ...]:
        """Accept one text or a list of texts."""
        value = self.take(key, (list, str)) or []
        values = [value] if isinstance(value, str) else value
        if not all(isinstance(one, str) for one in values):
            self.complain(key, "must be text")
            return ()
        return tuple(values)

    def regex(self, key: str) -> re.Pattern[str] | None:
        value = self.text(key)
        return None if value is None else self._compile(key, value)

    def regexes(self, key: str) -> tuple[re.Pattern[str], ...]:
        compiled = (self._compile(key, value) for value in self.texts(key))
        return tuple(pattern for pattern in compiled if pattern is not None)

    def table(self, key: str) -> _Fields | None:
        value = self.take(key, dict)
        return None if value is None else _Fields(value, self._path(key), self._problems)

    def tables(self, key: str) -> Iterator[_Fields]:
        for index, value in enumerate(self.items(key)):
            yield _Fields(value, self._path(f"{key}[{index}]"), self._problems)

    def _path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def _compile(self, key: str, value: str) -> re.Pattern[str] | None:
        try:
            return re.compile(value, re.MULTILINE)
        except re.error as error:
            self.complain(key, f"is not a regex: {error}")
            return None
