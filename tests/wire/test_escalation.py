"""Messages to a supervisor, in short."""

from __future__ import annotations

from pathlib import Path

import pytest

from intercom_mux.client.identity import Identity, Supervisor
from intercom_mux.supervise import contact
from intercom_mux.wire.escalation import KINDS, gist

ME = Identity("w", "worker-1", Path("/"), token="t", supervisor=Supervisor("id", "boss", "crew-1", "worker", 1))


@pytest.mark.parametrize(
    ("heading", "kind"),
    [(contact.DECISION, "decision"), (contact.INTERVIEW, "interview"), (contact.PROGRESS, "progress")],
)
def test_what_contact_writes_is_shown_by_what_it_is_about(heading: str, kind: str) -> None:
    """The lines that every such message has are left out, the body is whole."""
    assert gist(contact.compose(heading, ME, "Which one?\n\nSoon.")) == f"{kind}: Which one?\n\nSoon."


def test_an_interview_with_a_title_is_not_called_one_twice() -> None:
    """Its body says so already."""
    assert gist(contact.compose(contact.INTERVIEW, ME, "Interview: Storage\n\nQuestions:")).startswith("Interview: S")


def test_the_headings_are_those_of_contact() -> None:
    """There are no others."""
    assert list(KINDS) == [contact.DECISION, contact.INTERVIEW, contact.PROGRESS]


@pytest.mark.parametrize("text", ["", "Which?", "Subagent work\n\nis hard", "Subagent progress update.", "a\n\nb"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    """Only what is of the whole shape is shortened."""
    assert gist(text) == text
