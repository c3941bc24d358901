"""A peer of a running team: what reaches its program, what its sender hears, and what is told of it."""

from __future__ import annotations

import os
import re
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from intercom_mux.errors import DeliveryError
from intercom_mux.mux.base import SurfaceSpec
from intercom_mux.mux.tmux import TmuxMultiplexer
from tests.support import wait_until
from tests.team.stage import CAT, DEMO, SHELL, TUI, Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intercom_mux.client.blocking import Client

Json = dict[str, Any]


def asking(client: Client, to: str, text: str, on_receipt: Callable[[Json], None] | None = None) -> Callable[[], Any]:
    """Ask in a thread; return what waits for the outcome, a reply or an error."""
    outcome: list[Any] = []

    def ask() -> None:
        try:
            outcome.append(client.ask(to, text, timeout_s=30, on_receipt=on_receipt))
        except DeliveryError as error:
            outcome.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()

    def wait() -> Any:
        thread.join(30)
        return outcome[0]

    return wait


def watched(stage: Stage, text: str) -> str:
    """Wait until a watcher of the team is told `text`, beside the name of a pane; return the note."""
    listing = ["list-panes", "-a", "-F", "#{@imux_note}"]
    return wait_until(
        lambda: next((line for line in stage.tmux(*listing).splitlines() if text in line), ""), what=f"note {text!r}"
    )


# -- the paste route -----------------------------------------------------------------------------------------------


def test_what_is_sent_to_an_agent_arrives_once_and_its_sender_hears_so(stage: Stage) -> None:
    """An ask is received, then submitted; messages follow in order, each once; the reply reaches the asker."""
    stage.install_tui()
    stage.up({"agent": TUI})
    receipts: list[Json] = []
    with stage.shell() as shell, stage.shell("other") as other:
        outcome = asking(shell, "agent", "What now?", receipts.append)
        wait_until(lambda: [one for one in receipts if one["status"] == "injected"], what="receipt")
        for number in range(2):
            other.send("agent", f"note number {number}")
        wait_until(lambda: len(stage.submitted()) == 3, what="all messages")
        with stage.member("agent") as agent:
            agent.reply("Nothing.")
        assert outcome().text == "Nothing."
    assert [(one["status"], one.get("detail")) for one in receipts] == [
        ("receiver_received", None),
        ("injected", "submitted"),
    ]
    ask, *notes = stage.submitted()
    assert re.fullmatch(r"\[intercom\] from tester · ask \w{8} · reply: .*\nWhat now\?", ask)
    assert [note.split("\n") for note in notes] == [
        [note.split("\n")[0], f"note number {n}"] for n, note in enumerate(notes)
    ]


def test_an_agent_that_must_not_be_disturbed_is_left_alone(stage: Stage) -> None:
    """Over a draft, before a permission dialog and during a turn a message waits, and its sender hears for what."""
    stage.install_tui()
    stage.up({"agent": TUI})
    receipts: list[Json] = []

    def wait_for_word(reason: str) -> None:
        wait_until(lambda: receipts[-1:] and receipts[-1].get("detail") == reason, timeout_s=20, what=reason)

    stage.tmux("send-keys", "-t", stage.surface("agent"), "-l", "my own words")
    stage.wait_for("agent", "my own words")
    with stage.shell() as shell:
        outcome = asking(shell, "agent", "What now?", receipts.append)
        wait_for_word("draft")
        state = stage.project / "state"
        state.write_text("blocked")
        wait_for_word("blocked:permission")
        state.write_text("thinking")
        wait_for_word("thinking")
        stage.tmux("send-keys", "-t", stage.surface("agent"), "Enter")
        wait_until(stage.submitted, what="the person's own message")
        state.unlink()
        wait_for_word("submitted")
        with stage.member("agent") as agent:
            agent.reply("Nothing.")
        assert outcome().text == "Nothing."
    assert [text.splitlines()[-1] for text in stage.submitted()] == ["my own words", "What now?"]
    assert not (stage.project / "APPROVED").exists()


def test_one_id_towards_two_peers_is_two_messages(stage: Stage) -> None:
    """Ids are chosen by senders: what one peer got under an id says nothing of what another is to get under it."""
    stage.up({"a": DEMO, "b": DEMO})
    with stage.shell("one") as one, stage.shell("two") as two:
        one.send("a", "for a", message_id="the-same-id")
        stage.wait_for("a", "for a")
        two.send("b", "for b", message_id="the-same-id")
        stage.wait_for("b", "for b")


def test_a_dialog_over_what_was_typed_delays_it_and_what_follows(stage: Stage) -> None:
    """When a person has answered the dialog, the message is submitted, once, and then the next one."""
    stage.install_tui("--dialog-on-paste")
    stage.up({"agent": TUI})
    receipts: list[Json] = []
    with stage.shell() as shell, stage.shell("other") as other:
        outcome = asking(shell, "agent", "What now?", receipts.append)
        stage.wait_for("agent", "Do you want to proceed?")
        other.send("agent", "the next one")
        details = ["typed, not submitted: blocked:permission"]
        wait_until(lambda: [one.get("detail") for one in receipts][1:] == details, what="word of the dialog")
        assert stage.inputs() == ["paste"]
        stage.tmux("send-keys", "-t", stage.surface("agent"), "Enter")
        wait_until(lambda: stage.inputs() == ["paste", "enter", "enter", "paste"], what="the next one")
        stage.wait_for("agent", "Do you want to proceed?")
        stage.tmux("send-keys", "-t", stage.surface("agent"), "Enter")
        wait_until(lambda: len(stage.submitted()) == 2, what="both")
        with stage.member("agent") as agent:
            agent.reply("Nothing.")
        assert outcome().text == "Nothing."
    assert [text.splitlines()[-1] for text in stage.submitted()] == ["What now?", "the next one"]
    assert stage.inputs() == ["paste", "enter", "enter"] * 2


def test_what_was_typed_and_then_withdrawn_is_not_submitted(stage: Stage) -> None:
    """An ask withdrawn while a dialog hides the composer that holds it gets no Enter when the dialog is gone."""
    stage.install_tui("--dialog-on-paste")
    stage.up({"agent": TUI})
    receipts: list[Json] = []
    with stage.shell() as shell, stage.shell("other") as other:
        ask = shell.ask_ticket("agent", "What now?", timeout_s=30)["messageId"]
        stage.wait_for("agent", "Do you want to proceed?")
        outcome = asking(other, "agent", "the next one", receipts.append)
        wait_until(lambda: "typed, not submitted" in str(receipts[-1:]), what="typed, not submitted")
        shell.cancel(ask)
        wait_until(lambda: receipts[-1].get("detail") == "blocked:permission", what="the next one's turn")
        stage.tmux("send-keys", "-t", stage.surface("agent"), "Enter")
        wait_until(lambda: receipts[-1].get("detail") == "draft", what="held by what was left")
        with stage.member("agent") as agent:
            agent.reply("Nothing.")
        assert outcome().text == "Nothing."
    assert stage.submitted() == []
    assert stage.inputs() == ["paste", "enter"]


def test_an_agent_that_takes_no_enter_is_not_given_more(stage: Stage) -> None:
    """After two Enters without effect a message is only reported, however often it is offered again."""
    stage.install_tui("--swallow-enters", "99")
    stage.up({"agent": TUI})
    receipts: list[Json] = []
    state = stage.project / "state"

    def wait_for_word(reason: str) -> None:
        typed = f"typed, not submitted: {reason}"
        wait_until(lambda: receipts[-1:] and receipts[-1].get("detail") == typed, timeout_s=20, what=typed)

    with stage.shell() as shell:
        outcome = asking(shell, "agent", "What now?", receipts.append)
        wait_for_word("Enter had no effect")
        state.write_text("thinking")
        wait_for_word("thinking")
        state.write_text("idle")
        wait_for_word("Enter had no effect")
        with stage.member("agent") as agent:
            agent.reply("Nothing.")
        assert outcome().text == "Nothing."
    assert stage.inputs() == ["paste", "enter", "enter"]


# -- the inbox route -----------------------------------------------------------------------------------------------


def test_nothing_is_typed_into_a_shell(stage: Stage) -> None:
    """A message to a shell waits in its mailbox, the watcher is told, and a command in the pane reads it."""
    stage.up({"sh": SHELL})
    before = stage.screen("sh")
    with stage.shell() as shell:
        sent = shell.send("sh", "rm -rf everything")
        note = watched(stage, "from tester · message")
        assert f"intercom-mux inbox {sent['messageId'][:8]}" in note
        assert stage.screen("sh") == before
        stage.type("sh", "clear; intercom-mux inbox")
        stage.wait_for("sh", "rm -rf everything")
        stage.type("sh", "clear; intercom-mux inbox")
        stage.wait_for("sh", "no messages are waiting")


def test_a_command_in_a_pane_acts_as_its_peer(stage: Stage) -> None:
    """`ask` typed into a pane asks in the name of that peer, with its team's bare names, and gets the reply there."""
    (stage.project / "notes.md").write_text("The colour of boats is blue.\n")
    stage.up({"sh": SHELL, "scout": DEMO})
    stage.type("sh", "intercom-mux ask scout 'what is the colour of boats?'")
    stage.wait_for("sh", "colour of boats is blue")
    assert "[intercom] from sh · ask" in stage.screen("scout")


# -- exiting -------------------------------------------------------------------------------------------------------


def test_a_peer_that_exits_leaves_nobody_waiting(stage: Stage) -> None:
    """Its open asks end with the reason, new ones are refused at once, messages wait, the roster shows its status."""
    stage.up({"a": CAT, "b": CAT})
    with stage.shell() as shell, stage.shell("other") as other:
        outcome = asking(shell, "a", "are you there?")
        watched(stage, "from tester · ask")
        os.kill(stage.pid("a"), signal.SIGKILL)
        ended = outcome()
        assert isinstance(ended, DeliveryError)
        assert "has exited with status 137" in ended.message
        with pytest.raises(DeliveryError) as refused:
            other.ask("a", "and now?", timeout_s=5)
        assert refused.value.code == "E_TARGET_EXITED"
        assert other.send("a", "for when you are back")["messageId"]
    assert stage.statuses() == {"a": "exited:137", "b": "unknown"}


def test_the_end_of_a_program_is_never_overheard(home: Path) -> None:
    """Every exit status is known soon, although tmux misses the end of a child now and then."""
    mux = TmuxMultiplexer(home / "tmux.sock")
    try:
        surfaces = mux.open("many", "windows", [SurfaceSpec(f"p{n}", ("cat",), home) for n in range(30)])
        for surface in surfaces.values():
            os.kill((mux.states() or {})[surface].pid, signal.SIGKILL)
            wait_until(lambda one=surface: (mux.states() or {})[one].exit_status == 137, timeout_s=2, what="status")  # type: ignore[misc]
    finally:
        mux.shutdown()
