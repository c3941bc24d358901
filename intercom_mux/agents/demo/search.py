"""Ranked passages: documents are cut at definitions, headings and paragraphs, then scored by BM25 with a few boosts.

Pure and deterministic: no I/O, no clock; equal scores are ordered by path and line.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intercom_mux.agents.demo.words import QUESTION_WORDS, needle, stem, terms, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

WANTED_LINES = 12
"""A passage ends at the first blank line from here on."""

MOST_LINES = 18
"""A passage ends here at the latest, but for a tail of up to two lines and the blank lines around it."""

QUERY_TERMS_MAX = 40
"""A longer question is searched by its first distinct terms."""

_SATURATION = 1.2
_LENGTH_WEIGHT = 0.6
_SHORT = 0.8
_OWN_TITLE = 2.5
_ENCLOSING_TITLE = 0.8
_PATH = 1.0
_ADJACENT = 0.35
_SAME_FILE_AGAIN = 0.8
_RELEVANT = 0.3

_PROSE = (".md", ".markdown", ".rst", ".txt", ".adoc")
_HEADING = re.compile(r"#{1,6}\s+\S")
_DEFINITION = re.compile(
    r"\s*(?:(?:export|default|pub(?:\([^)]*\))?|async|public|private|protected|static|final|abstract)\s+)*"
    r"(?:def|class|func|function|fn|struct|enum|interface|trait|impl|type|module|namespace)\s+\W{0,2}\w"
    r"|(?:export\s+)?(?:const|let|var)\s+\w+\s*=\s*(?:async\s*)?(?:\(|function\b|\w+\s*=>)"
    r"|[A-Z][A-Z0-9_]{2,}\s*(?::[^=]+)?=|\[[\w.\"-]+\]\s*$"
)
_ATTACHED = re.compile(r"\s*(?:@\w|#|//)")
_IMPORT = re.compile(r"\s*(?:import|from|#include|using|require)\b")


@dataclass(frozen=True, slots=True)
class Document:
    """A text and the name it is quoted under."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """Consecutive lines of a document; `start` and `end` count from 1, both included.

    `title` holds the definitions or headings among the lines, else (`is_titled` false) the last one above them, or "".
    """

    path: str
    start: int
    end: int
    lines: tuple[str, ...]
    title: str = ""
    is_titled: bool = False

    @property
    def place(self) -> str:
        """`path:start-end`."""
        return f"{self.path}:{self.start}-{self.end}"


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that matches, with the terms that it matches."""

    passage: Passage
    score: float
    terms: frozenset[str]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a search found.

    Attributes:
        hits: The relevant passages, best first.
        matched: The question's own words that some hit contains, in the question's order.
        missing: Those that no document contains.
    """

    hits: tuple[Hit, ...]
    matched: tuple[str, ...]
    missing: tuple[str, ...]


def query_terms(question: str) -> dict[str, str]:
    """Return term → the word that asked for it, in order, without words that only ask."""
    asked = words(question)
    naming = [word for word in asked if word not in QUESTION_WORDS and len(word) > 1]
    found: dict[str, str] = {}
    for word in naming or asked:
        found.setdefault(stem(word), word)
        if len(found) == QUERY_TERMS_MAX:
            break
    return found


def rank(question: str, documents: Iterable[Document]) -> Ranking:
    """Return the passages that answer `question` best. Takes `documents` lazily and keeps only what matches."""
    query = query_terms(question)
    sketches = [sketch for document in documents for sketch in _sketches(document, query)]
    hits = _scored(sketches, query)
    found = {term for hit in hits for term in hit.terms}
    return Ranking(
        tuple(hits),
        tuple(word for term, word in query.items() if term in found),
        tuple(word for term, word in query.items() if term not in found),
    )


@dataclass(frozen=True, slots=True)
class _Sketch:
    """A matching passage reduced to what scoring needs; `length` in characters, `adjacent` pairs of terms in a line."""

    passage: Passage
    counts: dict[str, int]
    length: int
    in_title: frozenset[str]
    in_path: frozenset[str]
    adjacent: int

    @property
    def terms(self) -> frozenset[str]:
        return self.in_title | self.in_path | self.counts.keys()


def _sketches(document: Document, query: dict[str, str]) -> Iterator[_Sketch]:
    """Yield the passages of a document that contain a term; its first one also when only the path does."""
    needles = [needle(term) for term in query]
    in_path = query.keys() & set(terms(document.path))
    if not in_path and not _has_any(document.text, needles):
        return
    for passage in passages(document):
        if not _has_any("\n".join((passage.title, *passage.lines)), needles) and not (in_path and passage.start == 1):
            continue
        telling = _telling_lines(passage)
        said = [terms(line) for line in telling if _has_any(line, needles)]
        counts = {term: count for term, count in Counter(itertools.chain(*said)).items() if term in query}
        in_title = query.keys() & set(terms(passage.title))
        if counts or in_title or (in_path and passage.start == 1):
            pairs = {frozenset(pair) for line in said for pair in itertools.pairwise(line)}
            adjacent = sum(len(pair) == 2 and pair <= counts.keys() for pair in pairs)
            yield _Sketch(passage, counts, sum(map(len, telling)), frozenset(in_title), frozenset(in_path), adjacent)


def _has_any(text: str, needles: list[str]) -> bool:
    lowered = text.lower()
    return any(each in lowered for each in needles)


def _telling_lines(passage: Passage) -> Sequence[str]:
    """Return the lines that say something: in code, imports only repeat names defined elsewhere."""
    if passage.path.lower().endswith(_PROSE):
        return passage.lines
    return [line for line in passage.lines if not _IMPORT.match(line)]


def _scored(sketches: list[_Sketch], query: dict[str, str]) -> list[Hit]:
    if not sketches:
        return []
    rarity = _rarity(sketches, query)
    mean_length = sum(sketch.length for sketch in sketches) / len(sketches) or 1.0
    reachable = math.fsum(rarity.values())
    hits = []
    for sketch in sketches:
        shrink = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * max(sketch.length / mean_length, _SHORT)
        title_weight = _OWN_TITLE if sketch.passage.is_titled else _ENCLOSING_TITLE
        score = 0.0
        for term in sorted(sketch.terms):
            weight = sketch.counts.get(term, 0) / shrink
            weight += title_weight * (term in sketch.in_title) + _PATH * (term in sketch.in_path)
            score += rarity[term] * weight * (_SATURATION + 1) / (weight + _SATURATION)
        # By weight and by number: one rare word must not outweigh several that belong together.
        covered = math.fsum(rarity[term] for term in sketch.terms) / reachable + len(sketch.terms) / len(rarity)
        titled = math.fsum(rarity[term] for term in sketch.in_title) if sketch.passage.is_titled else 0.0
        score *= (1 + _ADJACENT * min(sketch.adjacent, 3)) * (1 + titled / reachable) * covered / 2
        hits.append(Hit(sketch.passage, score, sketch.terms))
    relevant = _RELEVANT * max(hit.score for hit in hits)
    return _spread([hit for hit in hits if hit.score >= relevant])


def _rarity(sketches: list[_Sketch], query: dict[str, str]) -> dict[str, float]:
    """Return the inverse document frequency of each term that occurs."""
    holders = Counter(term for sketch in sketches for term in sketch.terms)
    total = len(sketches)
    return {
        term: math.log(1 + (total - holders[term] + 0.5) / (holders[term] + 0.5)) for term in query if holders[term]
    }


def _spread(hits: list[Hit]) -> list[Hit]:
    """Return `hits` best first, each further passage of one file counting a little less, so that files take turns."""
    order = sorted(hits, key=lambda hit: (-hit.score, hit.passage.path, hit.passage.start))
    seen: Counter[str] = Counter()
    discounted = []
    for hit in order:
        discounted.append((hit.score * _SAME_FILE_AGAIN ** min(seen[hit.passage.path], 3), hit))
        seen[hit.passage.path] += 1
    discounted.sort(key=lambda pair: (-pair[0], pair[1].passage.path, pair[1].passage.start))
    return [hit for _, hit in discounted]


def passages(document: Document) -> list[Passage]:
    """Cut a document into passages that cover every non-blank line once, in order."""
    lines = document.text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    titles = _title_lines(lines, is_prose=document.path.lower().endswith(_PROSE))
    starts = _passage_starts(lines, titles)
    found = []
    title = ""
    for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True):
        own = [lines[number].strip() for number in range(start, stop) if number in titles]
        passage = _trimmed(document.path, lines, start, stop, " ".join(own) or title, is_titled=bool(own))
        if passage:
            found.append(passage)
        if own:
            title = own[-1]
    return found


def _title_lines(lines: list[str], *, is_prose: bool) -> set[int]:
    """Return the indexes of lines that define or head something; in prose, what is fenced heads nothing."""
    if not is_prose:
        return {number for number, line in enumerate(lines) if _DEFINITION.match(line)}
    found = set()
    is_fenced = False
    for number, line in enumerate(lines):
        if line.startswith(("```", "~~~")):
            is_fenced = not is_fenced
        elif not is_fenced and _HEADING.match(line):
            found.add(number)
    return found


def _passage_starts(lines: list[str], titles: set[int]) -> list[int]:
    """Return the index of each passage's first line, ascending from 0."""
    openings = {_with_attached(lines, title) for title in titles}
    starts = [0]
    content = 0
    for number, line in enumerate(lines):
        begin = starts[-1]
        if number > begin:
            after_blank = not lines[number - 1].strip()
            if number in openings and content < 3 and begin not in openings and len(starts) > 1:
                starts[-1] = number  # a short tail stays with what it ends
                content = 0
            elif (
                (number in openings and content >= 3)
                or (after_blank and number - begin >= WANTED_LINES)
                or number - begin >= MOST_LINES
            ):
                starts.append(number)
                content = 0
        content += bool(line.strip())
    return starts


def _with_attached(lines: list[str], title: int) -> int:
    """Return where the decorators and comments directly above a title begin."""
    while title > 0 and _ATTACHED.match(lines[title - 1]) and not _HEADING.match(lines[title]):
        title -= 1
    return title


def _trimmed(path: str, lines: list[str], start: int, stop: int, title: str, *, is_titled: bool) -> Passage | None:
    """Return the passage without blank lines at its ends; None when nothing is left."""
    while start < stop and not lines[start].strip():
        start += 1
    while stop > start and not lines[stop - 1].strip():
        stop -= 1
    if start == stop:
        return None
    return Passage(path, start + 1, stop, tuple(lines[start:stop]), title, is_titled)
