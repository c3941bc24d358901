"""Broad questions, which no single passage answers: what this is, and how it is tested, run, built or installed. Pure.

All that is said is read from the files and named with its place; nothing is guessed and nothing is run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from intercom_mux.agents.demo import commands
from intercom_mux.agents.demo.answer import quote
from intercom_mux.agents.demo.cells import fitted, printable
from intercom_mux.agents.demo.search import Document, passages
from intercom_mux.agents.demo.words import QUESTION_WORDS, stem, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from intercom_mux.agents.demo.commands import Command
    from intercom_mux.agents.demo.search import Passage, Ranking

ABOUT = "about"
"""The topic of a question for what all of this is; the others are `commands.TOPICS`."""

LISTED_MAX = 16
"""Files are listed one by one up to here, else by directory, and no more rows than that."""

_WIDTH = 120
_COMMANDS_MAX = 6
_ENOUGH_LINES = 6
_WHOLE = {
    stem(word)
    for word in words(
        "app application architecture directory overview package program purpose service summarize summary tool"
    )
}
_ALONE = ("overview", "summary", "purpose", "architecture")
_HOW = {
    **{stem(word): "test" for word in ("test", "suite", "check")},
    **{stem(word): "build" for word in ("build", "compile")},
    **{stem(word): "install" for word in ("install", "setup", "dependencies")},
    **{stem(word): "run" for word in ("run", "start", "launch", "execute")},
}
_BESIDE = _WHOLE | {stem(word) for word in ("best", "command", "local", "locally", "right", "set", "unit")}
_DOING = {
    "test": "run the tests",
    "build": "build it",
    "install": "install it",
    "run": "run it",
}


def topic(question: str) -> str | None:
    """Return `ABOUT`, or one of `commands.TOPICS`, for a broad question; None for one that names what it is after."""
    asked = words(question)
    if "where" in asked or (len(asked) == 1 and asked[0] not in _ALONE):
        return None
    naming = [stem(word) for word in asked if word not in QUESTION_WORDS and len(word) > 1]
    if all(word in _WHOLE for word in naming):
        return ABOUT if asked else None
    if not all(word in _HOW or word in _BESIDE for word in naming):
        return None
    found = {_HOW[word] for word in naming if word in _HOW}
    return next((each for each in commands.TOPICS if each in found), None)


@dataclass(slots=True)
class Survey:
    """What broad answers need of the files, taken while they are read. Pass documents through `see`."""

    intro: Passage | None = None
    description: str = ""
    files: list[tuple[str, str]] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)

    def see(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yield `documents` on, and remember what counts of each."""
        for document in documents:
            self._take(document)
            yield document

    def _take(self, document: Document) -> None:
        is_top = "/" not in document.path
        self.files.append((document.path, _first_words(document)))
        self.commands += commands.in_document(document)
        if is_top and self.intro is None and document.path.lower().startswith("readme"):
            self.intro = _intro(document)
        if is_top and not self.description:
            self.description = commands.description(document)


def about(survey: Survey, name: str, searched: str) -> str:
    """Return what the directory `name` is: the start of its README, else a manifest's words, and what is in it."""
    if not survey.files:
        return f"{name} has no text file that I read."
    if survey.intro is not None:
        parts = [f"What {name} is, its README says:", quote(survey.intro)]
    elif survey.description:
        parts = [f"{name} has no README. Its manifest calls it: {survey.description}"]
    else:
        parts = [f"{name} has no README that would say what it is; this is what is there."]
    return "\n\n".join([*parts, _structure(survey.files), f"Read {searched}. Ask about anything named here."])


def how(survey: Survey, name: str, to_do: str) -> str | None:
    """Return the commands that the files of `name` give for a topic of `commands.TOPICS`, each with its place.

    None when there are none.
    """
    found = {each.line: each for each in reversed(survey.commands) if each.topic == to_do}
    said = [each for each in found.values() if each.rank != commands.CONCLUDED] or list(found.values())
    best = sorted(said, key=lambda each: (each.rank, each.place.count("/"), each.place))[:_COMMANDS_MAX]
    if not best:
        return None
    width = max(len(each.line) for each in best)
    lines = [f"  {each.line:<{width}}  {each.place}" for each in best]
    return "\n".join([f"To {_DOING[to_do]}, the files of {name} say:", "", *lines, "", "I only read; nothing was run."])


def is_met(ranking: Ranking, to_do: str) -> bool:
    """Return whether what a search found is about the topic, and not only about the words beside it."""
    return any(_HOW.get(stem(word)) == to_do for word in ranking.matched)


def no_how(survey: Survey, to_do: str, searched: str) -> str:
    """Say that the files do not tell how, and what is there instead."""
    return f"Nothing here says how to {_DOING[to_do]}. Searched {searched}.\n\n{_structure(survey.files)}"


def _intro(document: Document) -> Passage | None:
    """Return the first passage of a README, with the second one when that is little more than a title."""
    first, second = [*passages(document)[:2], None, None][:2]
    if first is None or second is None or len(first.lines) >= _ENOUGH_LINES:
        return first
    lines = document.text.replace("\r\n", "\n").split("\n")[first.start - 1 : second.end]
    return type(first)(first.path, first.start, second.end, tuple(lines), first.title, first.is_titled)


def _first_words(document: Document) -> str:
    """Return what a file says of itself in its first line: a heading, a docstring, a comment; "" if it does not."""
    for line in document.text[:2000].split("\n"):
        line = line.strip()
        if not line or line.startswith("#!"):
            continue
        said = line.strip("\"'#/*-<!>; ").removesuffix(" {")
        is_telling = line.startswith(('"""', "'''", "# ", "## ", "//", "/*", "<!--", "-- ", ";; "))
        return printable(said) if is_telling else ""
    return ""


def _structure(files: list[tuple[str, str]]) -> str:
    kinds = Counter(_kind(path) for path, _ in files).most_common(3)
    counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds)
    head = f"{len(files):,} file{'' if len(files) == 1 else 's'} ({counted}):"
    rows = files if len(files) <= LISTED_MAX else _by_directory(files)
    width = max(len(printable(path)) for path, _ in rows[:LISTED_MAX])
    lines = [fitted(f"  {printable(path):<{width}}  {said}".rstrip(), _WIDTH) for path, said in rows[:LISTED_MAX]]
    more = [f"  … and {len(rows) - LISTED_MAX:,} more"] if len(rows) > LISTED_MAX else []
    return "\n".join([head, *lines, *more])


def _kind(path: str) -> str:
    base = path.rpartition("/")[2]
    return f".{base.rpartition('.')[2]}" if "." in base[1:] else base


def _by_directory(files: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the top directories with their number of files, largest first, then the files that lie beside them."""
    counts = Counter(path.partition("/")[0] for path, _ in files if "/" in path)
    inside = [
        (f"{each}/", f"{count:,} file{'' if count == 1 else 's'}")
        for each, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    return [*inside, *((path, said) for path, said in files if "/" not in path)]
