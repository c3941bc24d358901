"""The `vars` of a layout file: plain values, and declared ones with a type and limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from intercom_mux.layout.document import Mapping
from intercom_mux.layout.model import VARIABLE_PATTERN
from intercom_mux.layout.problems import Guess, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping as Texts

    from intercom_mux.layout.section import Section

DECLARATION_KEYS = ("type", "default", "min", "max", "choices", "description")
TYPES = ("text", "int", "bool")
MAX_NUMBER = 999_999


def read_variables(section: Section, given: Texts[str, str], environ: Texts[str, str], own: dict[str, str]) -> None:
    """Evaluate `vars` in order into `own`, but for what `given` (`--var`) has; check every value that is declared.

    A declared variable without a default takes that of `environ`; without one there either it must be given.
    """
    for name in section:
        if not re.fullmatch(VARIABLE_PATTERN, name):
            section.key_fault(name, "a variable is named with letters, digits and underscore")
        elif isinstance(section.value(name), Mapping):
            _declared(name, section, given, environ, own)
        elif name not in given:
            own[name] = section.word(name) or ""


def _declared(
    name: str, section: Section, given: Texts[str, str], environ: Texts[str, str], own: dict[str, str]
) -> None:
    declared = section.section(name, DECLARATION_KEYS)
    kind = declared.choice("type", TYPES) or "text"
    low, high = (declared.whole(limit, 0, MAX_NUMBER) for limit in ("min", "max"))
    choices = declared.words("choices", lambda text: [text])
    declared.text("description")
    for limit in ("min", "max"):
        if limit in declared and kind != "int":
            declared.fault(limit, "limits a variable of type int only")
    if low is not None and high is not None and low > high:
        declared.fault("min", f"is more than max, {high}")
    value: str | None
    if name in given:
        value, where = given[name], f"--var {name}"
    elif "default" in declared:
        value, where = declared.word("default"), declared.key("default")
    elif name in environ:
        value, where = environ[name], f"{name} in the environment"
    else:
        own[name] = ""
        section.fault(name, f"has no default: pass --var {name}=…")
        return
    if value is None:
        own[name] = ""
        return
    own[name] = value
    problem = _problem(value, kind, low, high, choices)
    if problem:
        node = declared.value("default") if where == declared.key("default") else section.value(name)
        guess = Guess(value, tuple(choices)) if choices else None
        section.problems.add(node.mark if node else section.mark, where, f"{problem}, not {quoted(value)}", guess)


def _problem(value: str, kind: str, low: int | None, high: int | None, choices: list[str] | None) -> str:
    """Return what `value` must be and is not, "" when it is."""
    if choices and value not in choices:
        return f"must be one of {', '.join(choices)}"
    if kind == "bool" and value.lower() not in ("true", "false", "yes", "no", "on", "off"):
        return "must be true or false"
    if kind != "int":
        return ""
    if not re.fullmatch("[0-9]{1,6}", value):
        return "must be a whole number"
    if low is not None and int(value) < low:
        return f"must be at least {low}"
    return f"must be at most {high}" if high is not None and int(value) > high else ""
