"""Words and stems."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents.demo.words import needle, stem, terms, words

ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refreshToken", ["refresh", "token"]),
        ("_refresh_with_retries", ["refresh", "with", "retries"]),
        ("HTTPServer2", ["http", "server", "2"]),
        ("MAX_ATTEMPTS", ["max", "attempts"]),
        ("café au lait", ["café", "au", "lait"]),
        ("", []),
    ],
)
def test_identifiers_fall_apart_into_words(text: str, expected: list[str]) -> None:
    """camelCase, snake_case and digits are boundaries; other alphabets stay whole."""
    assert words(text) == expected


@pytest.mark.parametrize(
    "family",
    [
        "retry retries retried retrying",
        "token tokens",
        "refresh refreshes refreshed refreshing",
        "cache caches cached caching",
        "run running runs",
        "class classes",
        "store stores stored storing",
        "query queries querying",
    ],
)
def test_forms_of_a_word_share_their_stem(family: str) -> None:
    """A question finds a word in whatever form it stands."""
    assert len({stem(word) for word in family.split()}) == 1


def test_different_words_keep_different_stems() -> None:
    """Stemming is light: no unrelated words meet."""
    unrelated = "status state retry token ring red bus lass string sing address process"
    assert len(set(terms(unrelated))) == len(unrelated.split())


@ANYWHERE
@given(st.text())
def test_every_term_is_found_by_its_needle(text: str) -> None:
    """The cheap first look never misses a text that holds a term."""
    lowered = text.lower()
    for word in words(text):
        assert word.startswith(needle(stem(word)))
        if word.isascii():
            assert needle(stem(word)) in lowered
