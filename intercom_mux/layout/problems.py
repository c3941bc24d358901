"""The faults of one layout file, gathered so that all of them are told at once. Imports no YAML."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux.errors import LayoutError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from intercom_mux.layout.model import Mark

MAX_TOLD = 50
"""How many problems one error lists; the rest are counted."""

_MAX_QUOTED = 60
_MAX_LISTED = 12
_CLOSE = 0.6


class Guess(NamedTuple):
    """What could have been meant: `word` was written, `options` exist.

    When none of them is close to the word, they are listed after `otherwise`, if that is given.
    """

    word: str
    options: tuple[str, ...]
    otherwise: str = ""


class Problem(NamedTuple):
    """One fault: where it is, the dotted key it concerns ("" for the file as a whole), and what is wrong."""

    mark: Mark
    key: str
    text: str
    guess: Guess | None = None

    def to_json(self) -> dict[str, Any]:
        """Return `{path, line, column, key, problem, suggestion?}`."""
        body: dict[str, Any] = {
            "path": str(self.mark.path),
            "line": self.mark.line,
            "column": self.mark.column,
            "key": self.key,
            "problem": self.text,
        }
        if self.guess:
            word, options, otherwise = self.guess.word, self.guess.options, self.guess.otherwise
            suggestion = did_you_mean(word, options)
            if suggestion:
                body["suggestion"] = suggestion
            elif otherwise:
                more = ", …" if len(options) > _MAX_LISTED else ""
                body["problem"] += f"; {otherwise} {', '.join(options[:_MAX_LISTED])}{more}"
        return body


class Problems:
    """Gathers the problems of the file at `path`; nothing is raised before `raise_any`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[Problem, None] = {}

    def add(self, mark: Mark, key: str, text: str, guess: Guess | None = None) -> None:
        """Note one problem; the same one twice (an alias used in two places) counts once."""
        self._found[Problem(mark, key, text, guess)] = None

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def raise_any(self, *, then: str = "", code: str = "E_LAYOUT") -> None:
        """Raise `error(…)` unless there is no problem."""
        if self._found:
            raise self.error(then=then, code=code)

    def error(self, *, then: str = "", code: str = "E_LAYOUT") -> LayoutError:
        """Return the error that tells them all: one line each in its message, in file order, and `problems` as data.

        Args:
            then: The command that shows whether they are mended; "" is `validate` of the file.
        """
        ordered = sorted(self._found, key=self._place)
        told = [problem.to_json() for problem in ordered[:MAX_TOLD]]
        file = shown(self.path)
        lines = [f"{file}: {_counted(len(ordered))}", *(_line(fact) for fact in told)]
        if len(ordered) > len(told):
            lines.append(f"… and {len(ordered) - len(told)} more")
        these = "this line" if len(ordered) == 1 else "these lines"
        return LayoutError(
            "\n".join(lines),
            hint=f"fix {these}, then: {then or f'intercom-mux validate {shlex.quote(file)}'}",
            code=code,
            problems=told,
            path=str(self.path),
        )

    def _place(self, problem: Problem) -> tuple[bool, str, int, int]:
        """Return what problems are ordered by: those of the file itself come first."""
        mark = problem.mark
        return (mark.path != self.path, str(mark.path), mark.line, mark.column)


def did_you_mean(word: str, options: Iterable[str]) -> str | None:
    """Return the option that `word` most likely stands for, case set aside, the first of equals; or None."""
    from difflib import SequenceMatcher  # only a failing call pays for it

    if not word or len(word) > _MAX_QUOTED:
        return None
    likeness = {option: SequenceMatcher(None, option.casefold(), word.casefold()).ratio() for option in options}
    best = max(likeness, key=likeness.__getitem__, default="")
    return best if likeness.get(best, 0) >= _CLOSE else None


def quoted(text: str) -> str:
    """Return `text` in double quotes on one line, control characters escaped, cut when long."""
    plain = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:1000])
    return f'"{plain}"' if len(plain) <= _MAX_QUOTED else f'"{plain[:_MAX_QUOTED]}…"'


def shown(path: Path) -> str:
    """Return `path` as a user would type it: relative when it lies below the working directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _counted(count: int) -> str:
    return "1 problem" if count == 1 else f"{count} problems"


def _line(fact: dict[str, Any]) -> str:
    key = f"{fact['key']}: " if fact["key"] else ""
    suggestion = f" (did you mean {quoted(fact['suggestion'])}?)" if "suggestion" in fact else ""
    place = f"{shown(Path(fact['path']))}:{fact['line']}:{fact['column']}"
    return f"{place}: {key}{fact['problem']}{suggestion}"
