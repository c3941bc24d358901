"""The paste route against a real tmux server and a real terminal program that knows every byte it got."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux.agents import header
from intercom_mux.agents.find import load_profiles
from intercom_mux.errors import MultiplexerError
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.mux.tmux import TmuxMultiplexer
from intercom_mux.team.routes.base import Outcome, Parcel, Target
from intercom_mux.team.routes.inbox import InboxRoute
from intercom_mux.team.routes.paste import PROVED, PasteRoute
from intercom_mux.team.routes.wording import compose
from intercom_mux.team.state import PeerState
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


PROGRAMS = Path(__file__).parents[1] / "programs"
ASK = Parcel("7f3a1234-0000-4000-8000-000000000001", "planner", "ask", "Where is the retry?")


class Stage:
    """One stand-in agent in a pane, with its own record of what it got."""

    def __init__(self, mux: TmuxMultiplexer, directory: Path, options: tuple[str, ...]) -> None:
        self.mux = mux
        self.directory = directory
        self.profile = load_profiles([PROGRAMS])["tui"]
        self.journaled: list[str] = []
        self.reported: str | None = None
        argv = (sys.executable, str(PROGRAMS / "tui.py"), str(directory), *options)
        self.surface = mux.open("stage", "tiled", [SurfaceSpec("agent", argv, directory)])["agent"]
        wait_until(lambda: "stand-in agent" in self.screen(), what="first paint")

    def screen(self) -> str:
        return self.mux.capture(self.surface)

    def target(self, **changes: Any) -> Target:
        profile = replace(self.profile, paste=self.profile.paste._replace(**changes))
        peer = PeerState("agent", "worker", "tui", self.directory, "session", "token")
        return Target(peer, profile, self.mux, self.surface, self.journal, lambda: self.reported)

    def route(self, **changes: Any) -> PasteRoute:
        return PasteRoute(self.target(**changes))

    def journal(self, message_id: str) -> None:
        self.journaled.append(message_id)

    def deliver(self, *parcels: Parcel, **changes: Any) -> list[Outcome]:
        async def all_at_once() -> list[Outcome]:
            route = self.route(**changes)
            return await asyncio.gather(*(route.deliver(parcel) for parcel in parcels))

        return asyncio.run(all_at_once())

    def set_state(self, state: str) -> None:
        """Put the agent into `state` and wait until it shows."""
        (self.directory / "state").write_text(state)
        shown = {"blocked": "Do you want", "starting": "starting"}.get(state, state)
        wait_until(lambda: shown in self.screen() + self.title(), what=f"state {state}")

    def title(self) -> str:
        states = self.mux.states()
        assert states is not None
        return states[self.surface].title

    def tmux(self, *arguments: str) -> None:
        """Do what a person at the keyboard does."""
        subprocess.run(["tmux", "-S", str(self.mux.socket), *arguments], check=True)

    @property
    def events(self) -> list[dict[str, Any]]:
        return _read_lines(self.directory / "events.jsonl")

    @property
    def submitted(self) -> list[str]:
        return _read_lines(self.directory / "submitted.jsonl")

    def check_law(self, *, human_keys: str = "") -> None:
        """Nothing was ever sent but pastes into an idle agent's empty composer, and Enter on our own text when idle."""
        keys = ""
        for event in self.events:
            if event["event"] == "paste":
                assert (event["state"], event["composer"]) == ("idle", ""), event
            elif event["event"] == "enter":
                assert event["state"] == "idle", event
                assert event["composer"].startswith("[intercom] from "), event
            else:
                keys += bytes.fromhex(event["hex"]).decode()
        assert keys == human_keys
        assert not (self.directory / "APPROVED").exists()


def _read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def stage(home: Path) -> Iterator[Callable[..., Stage]]:
    mux = TmuxMultiplexer(home / "tmux.sock")
    yield lambda *options: Stage(mux, home, options)
    mux.shutdown()


def test_idle_agent_gets_the_message_once(stage: Callable[..., Stage]) -> None:
    """An idle agent receives header and body as one message, journaled as typing first."""
    agent = stage()
    assert agent.deliver(ASK) == [Outcome("submitted")]
    assert agent.submitted == [compose(agent.profile, ASK)]
    assert agent.journaled == [ASK.message_id]
    assert [event["event"] for event in agent.events] == ["paste", "enter"]
    agent.check_law()


def test_permission_dialog_holds_and_receives_no_byte(stage: Callable[..., Stage]) -> None:
    """While a dialog is open nothing at all is sent, although the title says idle; after it the message goes out."""
    agent = stage("--state", "blocked")
    assert agent.deliver(ASK) == [Outcome("held", "blocked:permission")]
    assert agent.events == []
    assert agent.journaled == []
    agent.set_state("idle")
    wait_until(lambda: "Do you want" not in agent.screen())
    assert agent.deliver(ASK) == [Outcome("submitted")]
    agent.check_law()


def test_dialog_between_paste_and_enter_is_not_approved(stage: Callable[..., Stage]) -> None:
    """A dialog that opens after the paste gets no Enter; while it hides the composer, the fate is left open."""
    agent = stage("--dialog-on-paste")
    assert agent.deliver(ASK) == [Outcome("typed-not-submitted", "blocked:permission")]
    assert asyncio.run(agent.route().resume(ASK)) == Outcome("typed-not-submitted", "blocked:permission")
    assert asyncio.run(agent.route().recover(ASK)) == Outcome("typed-not-submitted", "blocked:permission")
    assert [event["event"] for event in agent.events] == ["paste"]
    assert agent.submitted == []
    agent.check_law()


def test_draft_left_by_such_a_dialog_is_resumed_not_retyped(stage: Callable[..., Stage]) -> None:
    """When the dialog is answered and our text is still in the composer, `resume` presses Enter, and types nothing."""
    agent = stage("--dialog-on-paste")
    agent.deliver(ASK)
    agent.set_state("idle")
    wait_until(lambda: "Do you want" not in agent.screen())
    assert asyncio.run(agent.route().recover(ASK)) == Outcome("typed-not-submitted", "idle")
    (agent.directory / "state").unlink()
    assert asyncio.run(agent.route().resume(ASK)) == Outcome("submitted")
    assert agent.submitted == [compose(agent.profile, ASK)]
    assert [event["event"] for event in agent.events] == ["paste", "enter"]
    agent.check_law()


def test_draft_that_a_person_submitted_is_submitted(stage: Callable[..., Stage]) -> None:
    """When the dialog is answered and a person presses Enter on our text, `resume` finds it among what was said."""
    agent = stage("--dialog-on-paste")
    agent.deliver(ASK)
    agent.tmux("send-keys", "-t", agent.surface, "Enter", "Enter")
    wait_until(lambda: agent.submitted)
    assert asyncio.run(agent.route(verify_ms=300).resume(ASK)) == Outcome("submitted", "its id is on the screen")
    assert [event["event"] for event in agent.events] == ["paste", "enter", "enter"]


def test_message_that_a_dialog_swallowed_is_unknown_when_it_is_gone(stage: Callable[..., Stage]) -> None:
    """Once a composer without our text is seen, `resume` decides: unknown, and nothing more is sent."""
    agent = stage("--dialog-on-paste")
    agent.deliver(ASK)
    agent.tmux("respawn-pane", "-k", "-t", agent.surface)
    wait_until(lambda: "Type a message" in agent.screen())
    assert asyncio.run(agent.route(verify_ms=100).resume(ASK)).kind == "unknown"
    assert [event["event"] for event in agent.events] == ["paste"]


def test_dialog_right_after_enter_means_submitted(stage: Callable[..., Stage]) -> None:
    """An agent that asks for permission at once has the message, although it now stands where the composer was."""
    agent = stage("--after-enter", "blocked", "--busy-s", "60")
    assert agent.deliver(ASK) == [Outcome("submitted")]
    assert asyncio.run(agent.route().recover(ASK)).kind == "submitted"
    assert asyncio.run(agent.route(verify_ms=100).resume(ASK)).kind == "typed-not-submitted"
    assert [event["event"] for event in agent.events] == ["paste", "enter"]
    agent.check_law()


def test_draft_of_a_person_is_left_alone(stage: Callable[..., Stage]) -> None:
    """A half-typed draft holds the message; the draft stays as it was."""
    agent = stage()
    agent.tmux("send-keys", "-l", "-t", agent.surface, "rm the old")
    wait_until(lambda: "rm the old" in agent.screen())
    assert agent.deliver(ASK) == [Outcome("held", "draft")]
    assert "› rm the old" in agent.screen()
    agent.check_law(human_keys="rm the old")


def test_words_typed_before_our_paste_lands_are_not_submitted(stage: Callable[..., Stage]) -> None:
    """A person who types in the instant before the paste keeps the draft: no Enter."""
    agent = stage()

    def type_meanwhile(message_id: str) -> None:
        agent.tmux("send-keys", "-l", "-t", agent.surface, "wait")
        wait_until(lambda: "› wait" in agent.screen())

    agent.journal = type_meanwhile  # type: ignore[method-assign]  # the journal is written just before the paste
    assert agent.deliver(ASK, verify_ms=300) == [Outcome("typed-not-submitted", "draft")]
    assert "enter" not in [event["event"] for event in agent.events]


def test_words_typed_after_our_paste_are_not_submitted(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who types on after a message that is shown whole keeps the draft: no Enter until the words are gone."""
    agent = stage()
    note = replace(ASK, kind="message", text="")
    paste = agent.mux.paste

    def paste_and_type(surface: str, text: str) -> None:
        paste(surface, text)
        agent.tmux("send-keys", "-l", "-t", surface, " and delete it")

    monkeypatch.setattr(agent.mux, "paste", paste_and_type)
    assert agent.deliver(note, verify_ms=300) == [Outcome("typed-not-submitted", "draft")]
    assert asyncio.run(agent.route(verify_ms=300).resume(note)) == Outcome("typed-not-submitted", "draft")
    assert "enter" not in [event["event"] for event in agent.events]


@pytest.mark.parametrize("state", ["thinking", "starting"])
def test_busy_or_starting_agent_holds_until_idle(stage: Callable[..., Stage], state: str) -> None:
    """A busy agent, or one not ready yet, gets nothing; the same parcel is submitted once it is idle."""
    agent = stage("--state", state)
    assert agent.deliver(ASK) == [Outcome("held", state)]
    assert agent.events == []
    agent.set_state("idle")
    (agent.directory / "state").unlink()
    assert agent.deliver(ASK) == [Outcome("submitted")]
    agent.check_law()


def test_unknown_screen_holds(stage: Callable[..., Stage]) -> None:
    """A screen that no pattern knows is never typed into."""
    agent = stage("--state", "reading-a-manual")
    assert agent.deliver(ASK) == [Outcome("held", "unknown")]
    assert agent.events == []


def test_swallowed_enter_is_rescued_once(stage: Callable[..., Stage]) -> None:
    """When Enter became a newline, one more Enter submits the message exactly once."""
    agent = stage("--swallow-enters", "1")
    assert agent.deliver(ASK, verify_ms=400) == [Outcome("submitted")]
    assert agent.submitted == [compose(agent.profile, ASK) + "\n"]
    assert [event["event"] for event in agent.events] == ["paste", "enter", "enter"]
    agent.check_law()


def test_enter_is_pressed_twice_at_most(stage: Callable[..., Stage]) -> None:
    """An agent that takes no Enter at all gets one rescue, then the message is told as typed, not submitted."""
    agent = stage("--swallow-enters", "9")
    assert agent.deliver(ASK, verify_ms=300) == [Outcome("typed-not-submitted", "Enter had no effect")]
    assert [event["event"] for event in agent.events] == ["paste", "enter", "enter"]
    agent.check_law()


def test_enters_are_counted_over_the_life_of_a_message(stage: Callable[..., Stage]) -> None:
    """`resume` has what `deliver` left of the two Enters, and then only reports."""
    agent = stage("--swallow-enters", "9")

    async def offer_thrice() -> list[Outcome]:
        route = agent.route(verify_ms=300)
        return [await route.deliver(ASK), await route.resume(ASK), await route.resume(ASK)]

    assert asyncio.run(offer_thrice()) == [Outcome("typed-not-submitted", "Enter had no effect")] * 3
    assert [event["event"] for event in agent.events] == ["paste", "enter", "enter"]


def test_forgotten_message_gets_no_more_enter(stage: Callable[..., Stage]) -> None:
    """A `resume` that is under way presses nothing once its message is forgotten."""
    agent = stage("--swallow-enters", "9")

    async def forget_meanwhile() -> Outcome:
        route = agent.route(verify_ms=500)
        delivery = asyncio.create_task(route.deliver(ASK))
        await asyncio.to_thread(wait_until, lambda: "enter" in [event["event"] for event in agent.events])
        route.forget(ASK.message_id)
        return await delivery

    assert asyncio.run(forget_meanwhile()).kind == "typed-not-submitted"
    assert [event["event"] for event in agent.events] == ["paste", "enter"]


def test_person_scrolling_holds(stage: Callable[..., Stage]) -> None:
    """Copy mode, entered by a person, holds the message and stays."""
    agent = stage()
    agent.tmux("copy-mode", "-t", agent.surface)
    assert agent.deliver(ASK) == [Outcome("held", "copy mode")]
    assert agent.events == []
    agent.tmux("send-keys", "-X", "-t", agent.surface, "cancel")
    assert agent.deliver(ASK) == [Outcome("submitted")]
    agent.check_law()


@pytest.mark.parametrize("moment", ["paste", "enter"])
def test_death_on_the_way_is_unknown(stage: Callable[..., Stage], moment: str) -> None:
    """An agent that dies after the paste leaves an unknown fate, and the next parcel is held with its exit status."""
    agent = stage("--die-on", moment)
    first, second = agent.deliver(ASK, replace(ASK, message_id="other-id"))
    assert first.kind == "unknown"
    assert (second.kind, second.reason.partition(":")[0]) == ("held", "exited")
    agent.check_law()


def test_two_senders_never_merge(stage: Callable[..., Stage]) -> None:
    """Parcels given at once arrive as separate messages, or are held; none interleave."""
    agent = stage("--busy-s", "0", "--after-enter", "idle")
    parcels = [replace(ASK, message_id=f"{n:08x}-id", sender=f"peer-{n}", text=f"line\nof {n}") for n in range(4)]
    assert agent.deliver(*parcels) == [Outcome("submitted")] * 4
    assert agent.submitted == [compose(agent.profile, parcel) for parcel in parcels]
    agent.check_law()


def test_slow_painter_is_waited_for(stage: Callable[..., Stage]) -> None:
    """An agent that paints late gets one Enter and is seen to have taken the message."""
    agent = stage("--paint-delay", "0.6")
    assert agent.deliver(ASK) == [Outcome("submitted")]
    assert [event["event"] for event in agent.events] == ["paste", "enter"]
    agent.check_law()


def test_paste_that_never_shows_gets_no_enter(stage: Callable[..., Stage]) -> None:
    """When the text is not seen in the composer in time, no Enter follows."""
    agent = stage("--paint-delay", "1.5")
    (outcome,) = agent.deliver(ASK, verify_ms=300)
    assert outcome.kind == "unknown"
    assert [event["event"] for event in agent.events] in ([], ["paste"])
    agent.check_law()


TEXTS = {
    "slash": "/quit",
    "bang": "!rm -rf .",
    "hash": "#remember",
    "at": "@file",
    "quotes": 'it\'s "quoted" `here` $(id) ${HOME} \\ %s #{pane_id}',
    "semicolon": "first; second;",
    "unicode": "žluťoučký 漢字 👩‍👩‍👧 é",
    "lines": "one\n\n  two\n\tthree",
    "controls": "a\x1b[201~\rb\x03c\x9bd\x00e",
    "large": "0123456789abcde\n" * 6400,
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_arrives_exactly(stage: Callable[..., Stage], name: str) -> None:
    """Any text arrives as one message behind its header, unchanged but for control characters."""
    agent = stage()
    assert agent.deliver(replace(ASK, text=TEXTS[name])) == [Outcome("submitted")]
    (received,) = agent.submitted
    first, _, body = received.partition("\n")
    assert header.parse(first) is not None
    expected = "a[201~\nbcde" if name == "controls" else TEXTS[name].rstrip()
    assert body.rstrip() == expected
    agent.check_law()


def test_failed_journal_stops_before_the_paste(stage: Callable[..., Stage]) -> None:
    """When `typing` cannot be journaled, nothing is typed."""
    agent = stage()

    def refuse(message_id: str) -> None:
        raise OSError("disk full")

    agent.journal = refuse  # type: ignore[method-assign]  # a journal that fails
    with pytest.raises(OSError, match="disk full"):
        agent.deliver(ASK)
    assert agent.events == []


def test_recover_finds_a_submitted_message(stage: Callable[..., Stage]) -> None:
    """After a crash, a message whose id is on the screen outside the composer was submitted."""
    agent = stage()
    agent.deliver(ASK)
    assert asyncio.run(agent.route().recover(ASK)).kind == "submitted"


def test_recover_of_an_unseen_message_is_unknown_and_types_nothing(stage: Callable[..., Stage]) -> None:
    """After a crash, a message that is nowhere on the screen is unknown; nothing is sent, also not by `resume`."""
    agent = stage()
    assert asyncio.run(agent.route().recover(ASK)).kind == "unknown"
    assert asyncio.run(agent.route(verify_ms=100).resume(ASK)).kind == "unknown"
    assert agent.events == []


def test_inbox_route_types_nothing(stage: Callable[..., Stage]) -> None:
    """A surface of the inbox route never gets a byte; its messages wait, and the watcher hears of each once."""
    agent = stage()
    shown: list[str] = []
    agent.mux.show = lambda surface, text: shown.append(text)  # type: ignore[method-assign]  # what a watcher would read

    async def offer_twice() -> list[Outcome]:
        route = InboxRoute(agent.target())
        return [await route.deliver(ASK), await route.deliver(ASK)]

    assert asyncio.run(offer_twice()) == [Outcome("held", "inbox")] * 2
    assert agent.events == []
    (line,) = shown
    assert line.startswith("[intercom] from planner · ask 7f3a1234 · read it: intercom-mux inbox 7f3a1234 · reply: ")


def test_what_the_agent_reports_holds_although_the_screen_looks_idle(stage: Callable[..., Stage]) -> None:
    """An agent that reported to be busy or blocked gets nothing, before the paste and before Enter."""
    agent = stage()
    agent.reported = "blocked:permission"
    assert agent.deliver(ASK) == [Outcome("held", "blocked:permission")]
    assert agent.events == []
    agent.reported = None

    def ask_meanwhile(message_id: str) -> None:
        agent.reported = "blocked:permission"

    agent.journal = ask_meanwhile  # type: ignore[method-assign]  # the journal is written just before the paste
    assert agent.deliver(ASK, verify_ms=300) == [Outcome("typed-not-submitted", "blocked:permission")]
    assert [event["event"] for event in agent.events] == ["paste"]


def test_what_the_agent_named_needs_no_enter(stage: Callable[..., Stage]) -> None:
    """A message that the agent is proved to have is submitted, whatever the screen shows."""
    agent = stage()

    async def prove() -> list[Outcome | None]:
        route = agent.route()
        route.prove(ASK.message_id)
        return [await route.recover(ASK), await route.resume(ASK)]

    assert asyncio.run(prove()) == [PROVED, PROVED]
    assert agent.events == []


def test_lost_server_holds(stage: Callable[..., Stage]) -> None:
    """Without its multiplexer a message is held, with the reason."""
    agent = stage()
    agent.mux.shutdown()
    (outcome,) = agent.deliver(ASK)
    assert (outcome.kind, "gone" in outcome.reason) == ("held", True)


def test_refused_paste_is_unknown(stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    """When the multiplexer fails at the paste, part of it may have arrived: unknown, and no Enter."""
    agent = stage()

    def fail(surface: str, text: str) -> None:
        raise MultiplexerError("tmux timed out")

    monkeypatch.setattr(agent.mux, "paste", fail)
    assert agent.deliver(ASK) == [Outcome("unknown", "tmux timed out")]
    assert agent.events == []
