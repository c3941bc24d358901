"""Text to search terms: identifiers split into their words, each word reduced to a light stem. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_VOWEL = re.compile(r"[aeiouy]")


def words(text: str) -> list[str]:
    """Return the lower-case words of `text` in order; `camelCase`, `snake_case` and `HTTPServer2` fall apart."""
    found: list[str] = []
    for word in _WORD.findall(text):
        if word.isascii():
            found += [part.lower() for part in _PART.findall(word)]
        else:
            found.append(word.lower())
    return found


QUESTION_WORDS = frozenset(
    words(
        """
        a about across all also am an and any anybody anyone are as at be been before both but by can code
        codebase could describe did do does doing done each either else every exactly explain file files find
        folder for from get give handle handled handles has have here hi how i if implement implemented
        implementation implements in into is it its just know let like list look made make me more most much my
        need no not of on one ones or organise organised organize organized other our out over please point
        project quickly repo repository same say see should show so some structure structured structures tell
        than thanks told that the their them then there these they thing things this those to too under up us
        use used uses using want was way we were what when where whether which who why will with without work
        works would you your
        """
    )
)
"""Words that ask rather than name; a question made of nothing else is searched by all of its words."""


def terms(text: str) -> list[str]:
    """Return the stems of the words of `text`, in order, repetitions kept."""
    return [stem(word) for word in words(text)]


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return what the forms of an English word have in common: `retry`, `retries`, `retried`, `retrying` → `retry`.

    Light on purpose: only plurals, -ed, -ing and a silent -e go; `word` is lower case.
    """
    if not word.isascii() or len(word) < 4:
        return word
    if word.endswith(("ies", "ied")) and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for suffix in ("ing", "ed"):
        root = word.removesuffix(suffix)
        if root != word and len(root) > 2 and _VOWEL.search(root):
            is_doubled = root[-1] == root[-2] and root[-1] not in "aeiouls"
            word = root[:-1] if is_doubled else root
            break
    if word.endswith(("she", "che", "xe", "sse")) or (word.endswith("e") and len(word) > 3):
        word = word[:-1]
    return word


def needle(term: str) -> str:
    """Return a lower-case string that every word with the stem `term` starts with, for a cheap first look."""
    return term[:-1] if term.endswith("y") and len(term) > 1 else term
