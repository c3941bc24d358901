"""Answers."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents.demo.answer import compose, places
from intercom_mux.agents.demo.search import Document, rank

ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_an_answer_counts_quotes_and_names() -> None:
    """First what was found, then each place with its lines, then what was searched."""
    ranking = rank(
        "Where is the spool flushed?", [Document("spool.py", "import os\n\ndef flush_spool():\n\treturn 1\n")]
    )
    assert compose(ranking, "1 file in here") == (
        "1 passage in 1 file matches spool, flushed.\n"
        "\n"
        "spool.py:1-4\n"
        "  1  import os\n"
        "  2\n"
        "  3  def flush_spool():\n"
        "  4      return 1\n"
        "\n"
        "Searched 1 file in here."
    )


def test_three_passages_are_quoted_and_the_others_named() -> None:
    """A long result stays readable."""
    documents = [Document(f"{n:02}.txt", f"the spool number {n}") for n in range(15)]
    text = compose(rank("spool", documents), "15 files")
    assert text.startswith("15 passages in 15 files match spool. The best 3:\n\n00.txt:1-1\n")
    assert "\nAlso: 03.txt:1-1, 04.txt:1-1," in text
    assert ", and 4 more\n" in text


def test_what_does_not_occur_is_said() -> None:
    """An answer never hides that a part of the question found nothing."""
    ranking = rank("spool capacitor", [Document("a.txt", "spool")])
    assert compose(ranking, "it").startswith("1 passage in 1 file matches spool; nothing here says capacitor.")
    assert compose(rank("capacitor", []), "0 files in x") == "Nothing here matches capacitor. Searched 0 files in x."
    assert compose(rank("", []), "it").startswith("Nothing to search for.")
    assert places(rank("capacitor", [])) == ""


@ANYWHERE
@given(st.text(max_size=40), st.text(max_size=200))
def test_a_quoted_line_is_one_harmless_line(question: str, text: str) -> None:
    """Whatever a file holds, the answer has no control character and no endless line."""
    answer = compose(rank(question + " spool", [Document("a.txt", text + "\nspool " + "x" * 999)]), "1 file")
    assert max(map(len, answer.split("\n"))) < 700
    assert not any(ord(character) < 0x20 and character != "\n" for character in answer.partition("\n\n")[2])
