"""Files of NAME=value lines, as `docker --env-file` and direnv's `dotenv` read them. Nothing is run or replaced."""

from __future__ import annotations

import re

from intercom_mux.layout.model import VARIABLE_PATTERN

_LINE = re.compile(rf"(?:export\s+)?({VARIABLE_PATTERN})\s*=\s*(.*)")
_QUOTED = re.compile(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class EnvFileError(ValueError):
    """A line that is no assignment; `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


def parse_env_file(text: str) -> dict[str, str]:
    """Return the variables; the last one of a name wins.

    Empty lines and lines that begin with # are passed over, `export` before a name as well. Single quotes keep all,
    double quotes know \\n, \\t, \\r, \\\\ and \\"; without quotes a comment starts at " #". A value is one line.

    Raises:
        EnvFileError: At the first line that is no assignment.
    """
    read: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise EnvFileError(number, "must be NAME=value")
        if "\0" in line:
            raise EnvFileError(number, "holds a NUL")
        read[match[1]] = _value(match[2], number)
    return read


def _value(text: str, number: int) -> str:
    if not text.startswith(("'", '"')):
        return re.split(r"(?:^|\s+)#", text, maxsplit=1)[0]
    match = _QUOTED.match(text)
    rest = text[match.end() :].strip() if match else ""
    if match is None or (rest and not rest.startswith("#")):
        raise EnvFileError(number, "a quote is not closed, or something follows it")
    if match[1] is not None:
        return match[1]
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), match[2])
