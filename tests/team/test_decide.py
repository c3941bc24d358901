"""The spawn decision rule: every verdict with its reason, and what holds for any facts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.mux.choose import Backend
from intercom_mux.team import decide as rule
from intercom_mux.team.decide import Connected, Facts, Request, decide, decide_all, one_question

TMUX = Backend("tmux", is_usable=True, why="tmux 3.4")
NONE = Backend("tmux", is_usable=False, why="tmux is not installed")
CMUX = Backend("cmux", is_usable=True, why="we are inside cmux")
FACTS = Facts(team="t", project="/p", repository="/p", backends=(TMUX,))
WANTED = Request("worker", "worker", "/p", repository="/p")
FITS = Connected("s1", "worker", "/p")

names = st.sampled_from(["a", "b", "worker"])
places = st.sampled_from(["/p", "/p/sub", "/other", "/nowhere"])
teams = st.sampled_from([None, "t", "else"])
connected = st.builds(
    Connected, id=st.sampled_from(["s1", "s2", "s3", "s4"]), name=names, cwd=places, role=names, team_id=teams
)
wanted = st.builds(
    Request,
    name=names,
    role=names,
    cwd=places,
    verb=st.sampled_from(["up", "spawn"]),
    prompt=st.sampled_from(["", "Why?", "Build it."]),
    repository=st.sampled_from([None, "/p", "/other"]),
    is_reference=st.booleans(),
    is_one_shot=st.booleans(),
)
facts_of = st.builds(
    Facts,
    team=st.just("t"),
    project=st.just("/p"),
    repository=st.just("/p"),
    sessions=st.lists(connected, max_size=5, unique_by=lambda session: session.id).map(tuple),
    backends=st.lists(st.sampled_from([TMUX, NONE, CMUX]), max_size=2).map(tuple),
    own=st.frozensets(names, max_size=2),
    reused=st.lists(st.tuples(names, st.sampled_from(["s1", "s2"])), max_size=2, unique_by=lambda p: p[0]).map(tuple),
    mux=st.sampled_from(["auto", "tmux", "cmux"]),
)
fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)


@fast
@given(st.lists(wanted, max_size=5, unique_by=lambda request: request.name), facts_of)
def test_it_is_total_and_deterministic_and_no_session_fills_two_places(requests: list[Request], facts: Facts) -> None:
    """Any facts give one decision per peer, the same each time; a reused session has no terminal and is used once."""
    decisions = decide_all(requests, facts)
    assert decisions == decide_all(requests, facts)
    assert [decision.peer for decision in decisions] == [request.name for request in requests]
    used = [decision.session for decision in decisions if decision.session]
    assert len(used) == len(set(used))
    for decision in decisions:
        assert (decision.verdict == rule.REUSE) == (decision.session is not None)
        assert (decision.verdict == rule.SPAWN) == (decision.backend is not None)
        assert decision.reasons
        if decision.verdict == rule.REUSE:
            (session,) = (each for each in facts.sessions if each.id == decision.session)
            assert session.team_id in (None, facts.team)


@pytest.mark.parametrize(
    ("request_", "facts", "verdict", "condition"),
    [
        (WANTED, FACTS, "spawn", "multiplexer"),
        (WANTED, FACTS._replace(own=frozenset({"worker"}), sessions=(FITS,)), "keep", "known"),
        (WANTED, FACTS._replace(sessions=(FITS,)), "reuse", "fits"),
        (WANTED, FACTS._replace(sessions=(FITS._replace(cwd="/elsewhere"),)), "spawn", "multiplexer"),
        (WANTED, FACTS._replace(sessions=(FITS._replace(team_id="other"),)), "spawn", "multiplexer"),
        (WANTED._replace(verb="spawn"), FACTS._replace(sessions=(FITS,)), "spawn", "multiplexer"),
        (WANTED._replace(verb="spawn"), FACTS._replace(sessions=(FITS._replace(role="worker"),)), "reuse", "fits"),
        (WANTED._replace(is_one_shot=True), FACTS, "refuse", "long-lived"),
        (WANTED._replace(verb="spawn", prompt="Where is it?"), FACTS, "refuse", "long-lived"),
        (WANTED._replace(cwd="/q", repository="/q"), FACTS, "refuse", "codebase"),
        (WANTED._replace(cwd="/q", repository="/q", is_reference=True), FACTS, "spawn", "multiplexer"),
        (
            WANTED._replace(cwd="/q", repository="/q"),
            FACTS._replace(references=frozenset({"/q"})),
            "spawn",
            "multiplexer",
        ),
        (WANTED._replace(cwd="/q"), FACTS, "spawn", "multiplexer"),
        (WANTED, FACTS._replace(backends=(NONE,)), "skip", "multiplexer"),
        (WANTED, FACTS._replace(mux="psmux"), "skip", "multiplexer"),
    ],
)
def test_each_condition_decides(request_: Request, facts: Facts, verdict: str, condition: str) -> None:
    """The last condition looked at is the one that decides."""
    decision = decide(request_, facts)
    assert (decision.verdict, decision.reasons[-1].condition) == (verdict, condition)


def test_a_session_that_this_team_reuses_stays_its_peer() -> None:
    """`up` once more finds the same session, which is in the team now, before any other that fits."""
    mine = FITS._replace(id="s2", team_id="t")
    facts = FACTS._replace(sessions=(FITS, mine), reused=(("worker", "s2"),))
    assert decide(WANTED, facts).session == "s2"


def test_cmux_comes_before_tmux_unless_the_layout_says_otherwise() -> None:
    """`auto` takes the first that can be used."""
    facts = FACTS._replace(backends=(CMUX, TMUX))
    assert decide(WANTED, facts).backend == "cmux"
    assert decide(WANTED, facts._replace(mux="tmux")).backend == "tmux"


def test_a_refusal_says_what_to_do_instead() -> None:
    """Whom to ask, how to declare a reference, who could serve."""
    facts = FACTS._replace(sessions=(Connected("s9", "expert", "/p"),))
    assert "intercom-mux ask expert" in decide(WANTED._replace(is_one_shot=True), facts).advice
    away = WANTED._replace(cwd="/q", repository="/q")
    assert "`reference: /q`" in decide(away, facts).advice
    assert "`--reference /q`" in decide(away._replace(verb="spawn"), facts).advice
    nowhere = facts._replace(backends=(NONE,))
    assert "expert" in decide(WANTED, nowhere).advice
    alone = nowhere._replace(sessions=(Connected("s9", "me", "/p", is_caller=True),))
    assert decide(WANTED, alone).advice == "no connected session could serve"


@pytest.mark.parametrize(
    ("prompt", "is_one"), [("Why?", True), ("", False), ("Do it.", False), ("A? B?", False), ("a\nb?", False)]
)
def test_one_question(prompt: str, is_one: bool) -> None:
    """One line that ends in its only question mark."""
    assert one_question(prompt) is is_one


def test_the_page_has_the_table_of_the_docstring() -> None:
    """docs/spawning.md and the code give the same conditions in the same order, and the rule looks at exactly these."""
    page = (Path(__file__).parent.parent.parent / "docs" / "spawning.md").read_text()
    table = [line for line in (rule.__doc__ or "").splitlines() if line.startswith("|")]
    assert "\n".join(table) in page
    listed = [line.split("|")[1].strip() for line in table[2:]]
    assert [reason.condition for reason in decide(WANTED, FACTS).reasons] == listed
    assert f"{rule.QUESTION_CHARS} characters" in page
