"""A question answered from passages: what was found in one sentence, the best places quoted, the others named. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intercom_mux.agents.demo.cells import printable

if TYPE_CHECKING:
    from intercom_mux.agents.demo.search import Passage, Ranking

QUOTED_MAX = 3
OTHERS_MAX = 8
LINE_MAX_CHARS = 160
"""Longer lines are cut when quoted."""


def compose(ranking: Ranking, searched: str) -> str:
    """Return the answer as plain text; `searched` says what was looked through, without full stop."""
    if not ranking.hits:
        asked = _listed(ranking.missing)
        return (
            f"Nothing here matches {asked}. Searched {searched}." if asked else f"Nothing to search for. {_ASK_BETTER}"
        )
    quoted = [hit.passage for hit in ranking.hits[:QUOTED_MAX]]
    others = [hit.passage.place for hit in ranking.hits[QUOTED_MAX:]]
    parts = [_summary(ranking), *(quote(passage) for passage in quoted)]
    if others:
        more = f", and {len(others) - OTHERS_MAX} more" if len(others) > OTHERS_MAX else ""
        parts.append(f"Also: {', '.join(others[:OTHERS_MAX])}{more}")
    parts.append(f"Searched {searched}.")
    return "\n\n".join(parts)


def places(ranking: Ranking, limit: int = QUOTED_MAX) -> str:
    """Return the best places as one line, "" when there are none."""
    return ", ".join(hit.passage.place for hit in ranking.hits[:limit])


_ASK_BETTER = "Ask with a name or a word that stands in the files."


def _summary(ranking: Ranking) -> str:
    count = len(ranking.hits)
    files = len({hit.passage.path for hit in ranking.hits})
    found = f"{_counted(count, 'passage')} in {_counted(files, 'file')} match{'' if count > 1 else 'es'}"
    missing = f"; nothing here says {_listed(ranking.missing)}" if ranking.missing else ""
    best = f" The best {QUOTED_MAX}:" if count > QUOTED_MAX else ""
    return f"{found} {_listed(ranking.matched)}{missing}.{best}"


def quote(passage: Passage) -> str:
    """Return the place of a passage, and its lines with their numbers."""
    width = len(str(passage.end))
    lines = [
        f"  {number:>{width}}  {_cut(printable(line))}".rstrip()
        for number, line in enumerate(passage.lines, start=passage.start)
    ]
    return "\n".join((passage.place, *lines))


def _cut(line: str) -> str:
    return line if len(line) <= LINE_MAX_CHARS else line[: LINE_MAX_CHARS - 1] + "…"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _listed(words: tuple[str, ...]) -> str:
    shown = words[:8]
    return ", ".join(shown) + (" …" if len(words) > len(shown) else "")
