"""Which asks a turn's last words may answer, over all that can happen in turns."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.team.turns import Given, Turn, judge

IDS = st.sampled_from(["a", "b", "c"])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("give"), IDS, st.booleans()),
        st.tuples(st.sampled_from(["begin", "end", "rest"]), st.just(""), st.just(value=False)),
    )
)
GIVEN = st.lists(st.builds(Given, IDS, st.booleans(), st.booleans(), st.booleans()), unique_by=lambda ask: ask.ask_id)
pure = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)


@pure
@given(asks=GIVEN, words=st.none() | st.text(max_size=3), still_open=st.sets(IDS), is_waiting=st.booleans())
def test_only_the_one_proved_ask_of_a_peer_that_waits_for_nobody_is_answered(
    asks: list[Given], words: str | None, still_open: set[str], is_waiting: bool
) -> None:
    """Every open ask gets one verdict, a closed one none; an answer needs words, proof, and no other ask there."""
    verdicts = judge(asks, words, still_open=still_open, is_waiting=is_waiting)
    assert [verdict.ask_id for verdict in verdicts] == [ask.ask_id for ask in asks if ask.ask_id in still_open]
    has_words = words is not None and bool(words.strip())
    may_answer = has_words and len(asks) == 1 and asks[0].is_proved and not is_waiting
    kind = "answer" if may_answer else "ended" if has_words else "idle"
    assert {verdict.kind for verdict in verdicts} <= {kind}


@pure
@given(events=EVENTS)
def test_a_turn_ends_with_the_asks_given_in_it_and_with_no_other(events: list[tuple[str, str, bool]]) -> None:
    """What was given is in one end, unless a rest and a new prompt came between; nobody hears of a rest twice."""
    turn = Turn()
    running: dict[str, bool] = {}
    proved: set[str] = set()
    for event, ask, is_proved in events:
        if event == "give":
            turn.give(ask, is_proved=is_proved)
            proved = proved | {ask} if is_proved else proved
            running.setdefault(ask, False)
        elif event == "begin":
            turn.begin()
            running = {one: told for one, told in running.items() if not told}
        elif event == "rest":
            untold = [one for one, told in running.items() if not told]
            assert bool(turn) == bool(untold)
            assert [one.ask_id for one in turn.rest()] == untold
            running = dict.fromkeys(running, True)
        else:
            ended = turn.end()
            assert [one.ask_id for one in ended] == list(running)
            assert {one.ask_id for one in ended if one.is_proved} == proved & set(running)
            running = {}
        proved &= set(running)
    assert bool(turn) == (not all(running.values()))
