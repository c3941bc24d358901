"""Passages and their ranking, on the sample projects and on anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents.demo.search import MOST_LINES, Document, passages, query_terms, rank
from intercom_mux.agents.demo.tree import Tree

if TYPE_CHECKING:
    from intercom_mux.agents.demo.search import Hit

QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart"
ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
LINES = st.lists(
    st.sampled_from(
        ["", "def f():", "class Retry:", "    return 1", "# Head", "token refresh", "```", "x" * 400, "\t@a"]
    )
    | st.text(max_size=30),
    max_size=60,
).map("\n".join)


def hits(question: str, project: str = "auth-service") -> tuple[Hit, ...]:
    return rank(question, Tree(QUICKSTART / project).documents()).hits


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How does this repo structure token refresh retries?", "## How token refresh retries are structured"),
        ("How does this repo structure token refresh retries?", "def _refresh_with_retries"),
        ("what is the jitter of the backoff?", "def wait_s"),
        ("retry budget", "class RetryBudget"),
        ("when is a token stale?", "def is_stale"),
        ("how is the refresh made single flight?", "Single flight: of many threads"),
        ("which statuses are transient?", "TRANSIENT_STATUS = frozenset"),
        ("Report a stale token on the health path of the server", "def is_stale"),
        ("what happens when the provider is down?", "## When the provider is down"),
    ],
)
def test_the_best_passages_of_the_sample_are_quoted(question: str, expected: str) -> None:
    """Each question finds, among the three passages that are quoted, the one that answers it."""
    best = ["\n".join(hit.passage.lines) for hit in hits(question)[:3]]
    assert any(expected in text for text in best), best


def test_the_page_and_the_function_come_first() -> None:
    """The main question gets the section written about it, then the function that does it."""
    first, second = hits("How does this repo structure token refresh retries?")[:2]
    assert (first.passage.path, first.passage.title) == (
        "docs/token-refresh.md",
        "## How token refresh retries are structured",
    )
    assert second.passage.path == "auth_service/refresh.py"
    assert second.passage.lines[0].strip() == "def _refresh_with_retries(self) -> Token:"


def test_the_place_names_the_lines_quoted() -> None:
    """`path:start-end` are the lines of the file, counted from 1."""
    for hit in hits("token refresh retries"):
        whole = (QUICKSTART / "auth-service" / hit.passage.path).read_text().splitlines()
        assert tuple(whole[hit.passage.start - 1 : hit.passage.end]) == hit.passage.lines
        assert hit.passage.place == f"{hit.passage.path}:{hit.passage.start}-{hit.passage.end}"


def test_a_definition_beats_its_uses() -> None:
    """A passage that defines what is asked for comes before many that mention it."""
    uses = [Document(f"use{n}.py", "spool()\nspool()\nspool() # the spool of the spool") for n in range(5)]
    found = rank("where is spool", [*uses, Document("printing.py", 'def spool():\n    """Print later."""\n    pass')])
    assert found.hits[0].passage.path == "printing.py"


def test_words_that_belong_together_beat_one_rare_word() -> None:
    """A passage with two of three words comes before one with the rarest of them."""
    common = [Document(f"{n}.txt", "a stale thing") for n in range(4)] + [Document("t.txt", "a token")]
    found = rank("stale token server", [*common, Document("a.txt", "the server"), Document("b.txt", "stale token")])
    assert found.hits[0].passage.path == "b.txt"


def test_a_file_name_alone_is_found() -> None:
    """A file whose name is asked for is found even when its text never says the word."""
    found = rank("where is the dockerfile", [Document("Dockerfile", "FROM scratch"), Document("a.py", "x = 1")])
    assert [hit.passage.path for hit in found.hits] == ["Dockerfile"]


def test_words_found_and_missing_are_told_apart() -> None:
    """The ranking says which of the question's words occur, as they were written."""
    found = rank("Do retries use a flux capacitor?", [Document("a.py", "retry()")])
    assert (found.matched, found.missing) == (("retries",), ("flux", "capacitor"))


def test_a_question_of_common_words_is_searched_by_them() -> None:
    """When nothing else is left, the words that only ask are what is searched."""
    assert list(query_terms("How does this work?").values()) == ["how", "does", "this", "work"]


def test_nothing_found_in_nothing() -> None:
    """No documents or no question give an empty ranking."""
    assert rank("token", []).hits == ()
    assert rank("", [Document("a", "token")]).hits == ()


def test_a_decorator_stays_with_its_function() -> None:
    """What is attached above a definition is quoted with it."""
    text = "import a\nimport b\nx = 1\n\n# why\n@cached\ndef spool():\n    pass\n"
    assert rank("spool", [Document("a.py", text)]).hits[0].passage.lines[0] == "# why"


def test_a_fenced_comment_is_no_heading() -> None:
    """In prose, `# comment` inside a fence does not start a section."""
    text = "# One\na\nb\n```\n# token\nc\nd\n```\n"
    assert [passage.title for passage in passages(Document("a.md", text))] == ["# One"]


@ANYWHERE
@given(LINES, st.sampled_from(["a.py", "a.md", "Makefile", "x/y.go"]))
def test_passages_cover_every_line_that_says_something_once(text: str, path: str) -> None:
    """No line is lost, none is in two passages, and passages stay short."""
    found = passages(Document(path, text))
    lines = text.replace("\r\n", "\n").split("\n")
    covered = [number for passage in found for number in range(passage.start, passage.end + 1)]
    assert covered == sorted(set(covered))
    assert {number for number, line in enumerate(lines, start=1) if line.strip()} <= set(covered)
    assert all(tuple(lines[each.start - 1 : each.end]) == each.lines for each in found)
    assert all(each.lines[0].strip() and each.lines[-1].strip() for each in found)
    assert all(len(each.lines) <= 2 * MOST_LINES for each in found)


@ANYWHERE
@given(st.text(max_size=80), st.lists(st.tuples(st.text(max_size=12), LINES), max_size=6))
def test_ranking_takes_anything_and_depends_on_nothing_else(question: str, files: list[tuple[str, str]]) -> None:
    """Any question on any documents gives a ranking, the same in whatever order the documents come."""
    documents = [Document(f"{number}{name}", text) for number, (name, text) in enumerate(files)]
    found = rank(question, documents)
    assert found == rank(question, list(reversed(documents)))
    assert all(hit.terms for hit in found.hits)
    assert bool(found.hits) == bool(found.matched)
