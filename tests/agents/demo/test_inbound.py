"""Submissions taken apart."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.agents.demo.inbound import Inbound, parse
from intercom_mux.agents.demo.search import Document

ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_an_ask_has_a_header_and_a_body() -> None:
    """The first line says who and what, the rest is the text."""
    got = parse('[intercom] from planner · ask 7f3a · reply: intercom-mux reply "…"\nWhere is it?\nAnd why?')
    assert got == Inbound("Where is it?\nAnd why?", "planner", "ask", "7f3a")


def test_a_reply_names_the_ask_it_answers() -> None:
    """`reply_to` is the ask's short id."""
    got = parse("[intercom] from scout · reply 9c1d to 7f3a\nHere.")
    assert (got.kind, got.id, got.reply_to, got.text) == ("reply", "9c1d", "7f3a", "Here.")


def test_a_header_alone_says_where_the_body_is() -> None:
    """A note `read it: …` names the id to fetch; with a body there is nothing to fetch."""
    head = "[intercom] from planner · message 7f3a · read it: intercom-mux inbox 7f3a"
    assert parse(head).fetch_id == "7f3a"
    assert parse(f"{head} · reply: intercom-mux reply").fetch_id == "7f3a"
    assert parse(f"{head}\nbody").fetch_id is None


def test_a_line_without_header_is_a_persons_question() -> None:
    """Nobody is its sender."""
    assert parse("where is the token?") == Inbound("where is the token?")


def test_attachments_are_cut_from_the_body() -> None:
    """Each `Attachment: NAME` begins a named text; rules and fences around it go."""
    got = parse(
        "[intercom] from a · ask 1\nWhat is this?\n\n"
        "---\nAttachment: a.py\n~~~python\nx = 1\n~~~\n\n---\nAttachment: b.txt\nplain"
    )
    assert got.text == "What is this?"
    assert got.attachments == (Document("attachment:a.py", "x = 1"), Document("attachment:b.txt", "plain"))


@ANYWHERE
@given(st.text())
def test_anything_can_be_parsed(text: str) -> None:
    """No submission raises."""
    parse(text)
    parse(f"[intercom] from a · ask 1\n{text}")
