"""Names as each viewer sees them, and the ladder from address to session."""

from __future__ import annotations

from tests.broker.core.bench import BLUE, GREEN, Bench


def test_a_team_sees_itself_bare_and_others_with_their_team(bench: Bench) -> None:
    """One roster, one name per viewer; sessions without a team are bare for all."""
    blue = bench.peer("planner", BLUE)
    green = bench.peer("planner", GREEN)
    pi = bench.pi("scout")
    assert blue.names() == ["planner", "green/planner", "scout"]
    assert green.names() == ["blue/planner", "planner", "scout"]
    assert pi.names() == ["blue/planner", "green/planner", "scout"]


def test_events_and_senders_are_named_for_their_viewer(bench: Bench) -> None:
    """The same projection in `session_joined`, `presence_update` and `from`."""
    green = bench.peer("planner", GREEN, events=True)
    mate = bench.peer("mate", BLUE, events=True)
    green.take(), mate.take()
    worker = bench.peer("worker-1", BLUE)
    worker.post(type="presence", status="thinking")
    for viewer, name in ((green, "blue/worker-1"), (mate, "worker-1")):
        assert [f["session"]["name"] for f in viewer.take("session_joined", "presence_update")] == [name, name]
    worker.send("green/planner")
    worker.send("mate")
    assert green.one("message")["from"]["name"] == "blue/worker-1"
    assert mate.one("message")["from"]["name"] == "worker-1"


def test_receipts_name_the_receiver_for_the_sender(bench: Bench) -> None:
    """A receipt's `from` reads like the roster of whoever gets it."""
    green, worker = bench.peer("planner", GREEN), bench.peer("worker-1", BLUE)
    worker.confirm(green.send("blue/worker-1")["messageId"])
    assert green.one("message_receipt")["from"]["name"] == "blue/worker-1"


def test_teams_of_the_same_name_are_told_apart_by_their_directory(bench: Bench) -> None:
    """`name@dir` while both are known; alone again, it is just the name."""
    one = {"id": "t1", "name": "shop", "dir": "/src/one"}
    two = {"id": "t2", "name": "shop", "dir": "/src/two/"}
    pi = bench.pi("scout")
    bench.peer("worker-1", one)
    assert pi.names() == ["scout", "shop/worker-1"]
    other = bench.register("two-1", "worker-1", {"team": two, "token": "t"})
    assert pi.names() == ["scout", "shop@one/worker-1", "shop@two/worker-1"]
    pi.send("shop@two/worker-1")
    assert other.texts() == ["hello"]
    other.op("retire", sessions=[{"id": "two-1", "token": "t"}])
    assert pi.names() == ["scout", "shop/worker-1"]


def test_teams_of_one_name_in_directories_of_one_name_are_told_apart_by_their_ids(bench: Bench) -> None:
    """Two checkouts of a project; a third elsewhere goes by its directory all the same."""
    pi = bench.pi("scout")
    first, second, third = (
        bench.register(f"lead-{at}", "lead", {"team": {"id": f"shop-{at}", "name": "shop", "dir": place}, "token": "t"})
        for at, place in enumerate(("/a/src", "/b/src", "/c/lib"))
    )
    assert pi.names() == ["scout", "shop-0/lead", "shop-1/lead", "shop@lib/lead"]
    pi.send("shop-1/lead")
    pi.send("shop@lib/lead")
    assert [peer.texts() for peer in (first, second, third)] == [[], ["hello"], ["hello"]]


def test_the_exact_id_wins_over_every_name(bench: Bench) -> None:
    """First rung."""
    scout, planner = bench.pi("scout"), bench.pi("planner", "abc")
    bench.pi("abc", "other")
    scout.send("abc")
    assert planner.texts() == ["hello"]


def test_a_name_wins_over_an_id_prefix_and_its_case_does_not_matter(bench: Bench) -> None:
    """Second rung: a name that matches hides the prefixes."""
    scout, named = bench.pi("scout"), bench.pi("WORK")
    bench.pi("other", "worker-id")
    scout.send("work")
    assert named.texts() == ["hello"]


def test_an_id_prefix_is_the_last_rung_and_keeps_its_case(bench: Bench) -> None:
    """Third rung."""
    scout, planner = bench.pi("scout"), bench.pi("planner", "Xyz-123")
    scout.send("Xyz")
    assert planner.texts() == ["hello"]
    assert scout.send("xyz")["code"] == "E_TARGET_NOT_FOUND"


def test_a_name_of_the_own_team_means_that_peer(bench: Bench) -> None:
    """A session of no team that takes the same name neither hides it nor gets its mail; outside it is the bare one."""
    boss, worker = bench.peer("boss", BLUE), bench.peer("worker-1", BLUE)
    shell, other = bench.shell(name="boss"), bench.pi("scout")
    worker.send("boss", "to my own")
    other.send("boss", "to the shell")
    assert boss.texts() == ["to my own"]
    (letter,) = shell.op("inbox", peek=True)["messages"]
    assert letter["message"]["content"]["text"] == "to the shell"


def test_an_empty_address_is_nobody(bench: Bench) -> None:
    """The empty string begins every id and still means none."""
    scout = bench.pi("scout")
    bench.pi("planner")
    assert scout.send("")["code"] == "E_TARGET_NOT_FOUND"


def test_two_of_a_name_are_ambiguous(bench: Bench) -> None:
    """The sender must use an id; both words of the code and of the reason are the protocol's."""
    scout = bench.pi("scout")
    bench.pi("worker", "w1")
    bench.pi("worker", "w2")
    answer = scout.send("worker")
    assert answer["code"] == "E_AMBIGUOUS_TARGET"
    assert answer["reason"] == 'Multiple sessions named "worker" are connected. Use the session ID instead.'
    assert scout.send("w")["code"] == "E_AMBIGUOUS_TARGET"


def test_the_connected_holder_of_a_name_wins_over_a_lost_one(bench: Bench) -> None:
    """A session that went away does not make its name ambiguous."""
    scout = bench.pi("scout")
    bench.pi("worker", "w1").close()
    live = bench.pi("worker", "w2")
    scout.send("worker")
    assert live.texts() == ["hello"]


def test_a_lost_session_can_still_be_written_to(bench: Bench) -> None:
    """By name or id, its mail waits for it; two lost ones of a name are ambiguous."""
    scout = bench.pi("scout")
    bench.pi("worker", "w1").close()
    assert scout.send("worker")["delivery"] == "queued"
    bench.pi("worker", "w2").close()
    assert "disconnected" in scout.send("worker")["reason"]


def test_a_bare_name_reaches_a_peer_from_outside_any_team(bench: Bench) -> None:
    """A shell need not say the team while the name is unique."""
    worker, shell = bench.peer("worker-1"), bench.shell()
    assert shell.send("worker-1")["to"] == "blue/worker-1"
    assert worker.texts() == ["hello"]
    bench.peer("worker-1", GREEN)
    assert shell.send("worker-1")["code"] == "E_AMBIGUOUS_TARGET"
    assert shell.send("green/worker-1")["to"] == "green/worker-1"


def test_inside_a_team_the_bare_name_is_a_mate(bench: Bench) -> None:
    """Another team's peer of that name does not make it ambiguous."""
    planner, worker = bench.peer("planner"), bench.peer("worker-1")
    bench.peer("worker-1", GREEN)
    planner.send("worker-1")
    assert worker.texts() == ["hello"]


def test_a_shell_may_look_through_a_teams_eyes(bench: Bench) -> None:
    """`view` makes a team's names bare; an unknown or malformed view is ignored or refused."""
    bench.peer("worker-1")
    assert bench.shell(view="team-blue").names() == ["worker-1", "shell-pts1"]
    assert bench.shell(view="team-none").names() == ["blue/worker-1", "shell-pts1"]


def test_an_unknown_name_is_answered_with_the_known_ones(bench: Bench) -> None:
    """Ours hear who exists; a v1 client gets no key it does not know."""
    bench.peer("worker-1")
    pi, shell = bench.pi("scout"), bench.shell()
    answer = shell.send("worker-9")
    assert (answer["code"], answer["reason"]) == ("E_TARGET_NOT_FOUND", "Session not found")
    assert answer["names"] == ["blue/worker-1", "scout"]
    assert "names" not in pi.send("worker-9")
