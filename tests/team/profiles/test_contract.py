"""What every bundled profile promises, shown with a stand-in for its agent, in a real pane through the path of `up`.

One story per profile, because the rests between two messages are the profile's own and long.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from intercom_mux.agents.find import load_profiles
from intercom_mux.mux.base import typeable
from tests.support import wait_until
from tests.team.profiles.actor import LONG_S, PEER, Actor
from tests.team.profiles.skins import SKINS

if TYPE_CHECKING:
    from tests.team.stage import Stage

PROFILES = load_profiles([])
TYPED = sorted(name for name in PROFILES if PROFILES[name].routes != ("inbox",))
INBOX = sorted(set(PROFILES) - set(TYPED))

LINES = (
    *("/quit", "!rm -rf .", "#remember", "@file", "1", "y", "-x"),
    'it\'s "q" `h` $(id) ; #{pane_id}',
    "漢字 👩\u200d👩\u200d👧 é",
    "a\x1b[201~\x03\x9b\rb",
)
HOSTILE = "\n".join(LINES)
BIG = "0123456789abcde\n" * 6400
"""100 KB."""


@pytest.fixture
def actor(stage: Stage, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Actor:
    agent, _, trust = request.param.partition("-")
    return Actor(stage, agent, monkeypatch, is_trusted=bool(trust))


def test_every_bundled_profile_has_a_skin() -> None:
    """A new profile is not in the contract until somebody has written down how its agent looks."""
    assert set(SKINS) == set(PROFILES)


@pytest.mark.parametrize("actor", [*TYPED, "codex-trusted"], indirect=True)
def test_an_agent_that_is_typed_into(actor: Actor) -> None:
    """Starting, idle, busy, in a dialog, with a draft, with any text, ended: each message comes once or waits."""
    actor.up()
    nothing_comes_before_it_is_ready(actor)
    a_turn_and_its_dialog_are_left_alone(actor)
    a_draft_stays_alone(actor)
    any_text_is_only_text(actor)
    only_whole_pastes_were_typed(actor)
    mail_for_an_ended_agent_waits(actor)


@pytest.mark.parametrize("actor", [name for name in TYPED if SKINS[name].queue], indirect=True)
def test_an_agent_that_looks_ready_and_queues(actor: Actor) -> None:
    """It would join what it queues: the second message waits until the first is taken, and comes after it, apart."""
    actor.up()
    actor.queue_prompts()
    actor.show_ready()
    actor.wait_for_status("idle")
    with actor.stage.shell() as shell:
        shell.send(PEER, "Words one.")
        ticket = shell.ask_ticket(PEER, "Words two.", timeout_s=60)["messageId"]
        actor.wait_for_hold(shell, ticket, "thinking")
        assert actor.stage.model() == []
        assert b"Words two." not in actor.raw
        actor.connect()
        actor.wait_for_body("tester", "Words one.")
        actor.wait_for_body("tester", "Words two.")
    assert [body for _, body in actor.bodies()] == ["Words one.", "Words two."]
    assert not [entry for entry in actor.stage.model() if "Words one." in str(entry) and "Words two." in str(entry)]


@pytest.mark.parametrize("actor", INBOX, indirect=True)
def test_an_agent_that_is_not_typed_into(actor: Actor) -> None:
    """Starting, idle or ended, it gets not one byte; its mail waits for `inbox`."""
    actor.up()
    with actor.stage.shell() as shell:
        first = shell.send(PEER, "First words.")["messageId"]
        actor.show_ready()
        if actor.profile.status:
            actor.wait_for_status("idle")
        second = shell.send(PEER, HOSTILE)["messageId"]
        actor.exit(7)
        actor.wait_for_status("exited:7")
        third = shell.send(PEER, "Are you there?")["messageId"]
    with actor.stage.member(PEER) as member:
        assert [row["text"] for row in member.inbox()] == ["First words.", HOSTILE, "Are you there?"]
    assert len({first, second, third}) == 3
    assert actor.raw == b""


def nothing_comes_before_it_is_ready(actor: Actor) -> None:
    """What is sent to a starting agent is typed once it shows that it is ready, header line first."""
    with actor.stage.shell() as shell:
        ticket = shell.ask_ticket(PEER, "First words.", timeout_s=60)["messageId"]
        if "native" not in actor.profile.routes:
            actor.wait_for_hold(shell, ticket, "starting", "unknown")
        actor.wait_for_status("starting")
        assert actor.raw == b""
        actor.show_ready()
        actor.wait_for_body("tester", "First words.")
    assert [one.id for one in actor.got()] == [ticket[:8]]


def a_turn_and_its_dialog_are_left_alone(actor: Actor) -> None:
    """While the agent works, or asks for a permission, not one byte comes; afterwards each message does, apart."""
    actor.work("my own words")
    before = actor.raw
    with actor.stage.shell("one") as one, actor.stage.shell("two") as two:
        first = one.ask_ticket(PEER, "Words of one.", timeout_s=60)["messageId"]
        actor.wait_for_hold(one, first, "thinking")
        actor.wait_for_screen("thinking")
        if actor.skin.dialog:
            actor.open_dialog()
        two.send(PEER, "Words of two.")
        actor.wait_for_hold(one, first, actor.status)
        actor.wait_for_screen(actor.status)
        assert actor.raw == before
        if actor.skin.dialog:
            assert not actor.has_approved
            actor.answer_dialog()
        actor.rest()
        actor.wait_for_body("one", "Words of one.")
        actor.wait_for_body("two", "Words of two.")


def a_draft_stays_alone(actor: Actor) -> None:
    """Over a person's words nothing is typed: the message comes beside them by the agent's own queue, or after them."""
    before = actor.raw
    actor.press("half a thought")
    actor.stage.wait_for(PEER, "half a thought")
    with actor.stage.shell() as shell:
        ticket = shell.ask_ticket(PEER, "Are you there?", timeout_s=60)["messageId"]
        if actor.profile.queue:
            actor.wait_for_body("tester", "Are you there?")
        else:
            actor.wait_for_hold(shell, ticket, "draft")
        assert actor.raw == before + b"half a thought"
        actor.press("\r")
        wait_until(lambda: {"prompt": "half a thought"} in actor.stage.model(), what="the person's prompt")
        actor.wait_for_body("tester", "Are you there?")


def any_text_is_only_text(actor: Actor) -> None:
    """Commands, quotes, controls, an end of paste and any Unicode arrive as text; 100 KB whole, or by reference."""
    with actor.stage.shell() as shell, actor.stage.member(PEER) as member:
        sent = {shell.send(PEER, text)["messageId"][:8]: text for text in (HOSTILE, BIG)}
        wait_until(lambda: sent.keys() <= {one.id for one in actor.got()}, timeout_s=LONG_S, what="both texts")
        actor.wait_for_status("idle")
        for short, text in sent.items():
            bodies = [one.body for one in actor.got() if one.id == short and one.body]
            assert bodies in ([], [typeable(text).rstrip()])
            if not bodies:
                assert actor.profile.paste.can_run_commands
                assert member.inbox(short)[0]["text"] == text


def only_whole_pastes_were_typed(actor: Actor) -> None:
    """Beside a person's keys, all that ever came were pastes that begin with our header, each with its Enter."""
    keys = re.sub(rb"\x1b\[200~\[intercom\] from .*?\x1b\[201~\r", b"", actor.raw, flags=re.DOTALL)
    approval = actor.skin.approves[-1] if actor.skin.dialog else ""
    assert keys == f"my own words\r{approval}half a thought\r".encode()


def mail_for_an_ended_agent_waits(actor: Actor) -> None:
    """Its status tells the code; what is sent then is kept, and nothing is typed."""
    before = actor.raw
    actor.exit(7)
    actor.wait_for_status("exited:7")
    with actor.stage.shell() as shell:
        short = shell.send(PEER, "Too late.")["messageId"][:8]
    with actor.stage.member(PEER) as member:
        assert member.inbox(short)[0]["text"] == "Too late."
    assert actor.raw == before
