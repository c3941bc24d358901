"""An agent with hooks, as a whole chain: real pane, real hook processes, real daemon and broker."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from intercom_mux.team.status import BLOCKED_STALE_S
from intercom_mux.wire.frames import encode
from tests.cli.stage import start
from tests.support import wait_until
from tests.team import test_hook_call as hook_call
from tests.team.stage import HOOKED, TUI, Stage, broker_pid
from tests.team.test_peer import asking

Json = dict[str, Any]


@pytest.fixture
def hooked(stage: Stage) -> Stage:
    """A team of one agent with hooks, ready."""
    stage.install_hooked("--busy-s", "0.1")
    stage.up({"agent": HOOKED})
    return stage


class Gate:
    """The files by which a test leads the agent's turn."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.directory = stage.project

    def work(self, text: str = "my own words") -> None:
        """Make the agent busy with what a person types, until `rest`."""
        (self.directory / "work").touch()
        self.stage.type("agent", text)
        wait_until(lambda: {"prompt": text} in self.stage.model(), what="the prompt")
        wait_until(lambda: self.stage.statuses()["agent"] == "thinking", what="thinking")

    def use_tool(self) -> None:
        (self.directory / "tool").touch()
        wait_until(lambda: not (self.directory / "tool").exists(), what="tool")

    def rest(self) -> None:
        (self.directory / "work").unlink()

    def settle(self) -> None:
        wait_until(lambda: self.stage.statuses()["agent"] == "idle", what="idle")


@pytest.fixture
def gate(hooked: Stage) -> Gate:
    return Gate(hooked)


def texts(stage: Stage) -> list[str]:
    """All that the model got, as one list of texts, without the lines that only announce."""
    return [text for entry in stage.model() for kind, text in entry.items() if kind != "block"]


def failures(stage: Stage) -> str:
    file = stage.project / "hook-failures.jsonl"
    return file.read_text() if file.exists() else ""


def test_an_idle_agent_is_woken_and_gets_the_body_beside_the_prompt(hooked: Stage) -> None:
    """A message of several lines is typed as one line; its body comes as context of that prompt, once."""
    receipts: list[Json] = []
    wait_until(lambda: hooked.statuses()["agent"] == "idle", what="an idle agent")
    with hooked.shell() as shell:
        outcome = asking(shell, "agent", "What now?\nTell me.", receipts.append)
        wait_until(lambda: len(hooked.model()) == 2, what="prompt and context")
        wait_until(lambda: len(receipts) == 2, what="word that it was submitted")
        with hooked.member("agent") as agent:
            agent.reply("Nothing.")
        assert outcome().text == "Nothing."
    prompt, context = hooked.model()
    assert re.fullmatch(r"\[intercom\] from tester · ask \w{8} · read it: .* · reply: .*", prompt["prompt"])
    assert context["context"].endswith("\nWhat now?\nTell me.")
    assert context["context"].startswith("[intercom] from tester · ask ")
    assert hooked.inputs() == ["paste", "enter"]
    assert [(one["status"], one.get("detail")) for one in receipts] == [
        ("receiver_received", None),
        ("injected", "submitted"),
    ]
    assert failures(hooked) == ""


def test_a_busy_agent_gets_messages_at_its_next_tool_each_in_its_block(gate: Gate) -> None:
    """During a turn nothing is typed; two senders' messages come with the next tool result, in order, once."""
    stage = gate.stage
    gate.work()
    typed = stage.inputs()
    stage.leave("agent", "first\n/quit", "one")
    stage.leave("agent", "!rm -rf .", "two")
    gate.use_tool()
    wait_until(lambda: len(stage.model()) == 2, what="context")
    context = stage.model()[1]["context"]
    header = r"\[intercom\] from {} · message \w{{8}}\n"
    expected = header.format("one") + r"first\n/quit\n\n" + header.format("two") + r"!rm -rf \."
    assert re.fullmatch(expected, context)
    gate.rest()
    gate.settle()
    assert len(stage.model()) == 2
    assert stage.inputs() == typed
    assert failures(stage) == ""


def test_what_comes_late_in_a_turn_makes_the_agent_go_on(gate: Gate) -> None:
    """At the end of a turn a waiting message starts another round, once; without one the agent comes to rest."""
    stage = gate.stage
    gate.work()
    stage.leave("agent", "one more thing")
    gate.rest()
    wait_until(lambda: len(stage.model()) == 3, what="block and its context")
    assert "one more thing" not in stage.model()[1]["block"]
    assert stage.model()[2]["context"].endswith("\none more thing")
    gate.settle()
    assert len(stage.model()) == 3
    assert failures(stage) == ""


def test_status_follows_hooks(gate: Gate) -> None:
    """idle, thinking, blocked:permission, thinking, idle; a tool shows by name while it runs."""
    stage = gate.stage
    gate.work()
    (stage.project / "dialog").touch()
    wait_until(lambda: stage.statuses()["agent"] == "blocked:permission", what="blocked")
    (stage.project / "answered").touch()
    wait_until(lambda: stage.statuses()["agent"] == "thinking", what="thinking")
    (stage.project / "slow-tool").touch()
    wait_until(lambda: stage.statuses()["agent"] == "tool:Bash", what="tool")
    (stage.project / "slow-tool").unlink()
    wait_until(lambda: stage.statuses()["agent"] == "thinking", what="thinking")
    gate.rest()
    gate.settle()
    assert failures(stage) == ""


def test_a_dialog_holds_and_gets_no_key(gate: Gate) -> None:
    """While permission is asked nothing is typed and nothing given; afterwards the message comes, once."""
    stage = gate.stage
    gate.work()
    typed = stage.inputs()
    (stage.project / "dialog").touch()
    wait_until(lambda: stage.statuses()["agent"] == "blocked:permission", what="blocked")
    receipts: list[Json] = []
    with stage.shell() as shell:
        outcome = asking(shell, "agent", "What now?", receipts.append)
        wait_until(lambda: receipts[-1:] and receipts[-1].get("detail") == "blocked:permission", what="held")
        assert stage.inputs() == typed
        (stage.project / "answered").touch()
        gate.use_tool()
        wait_until(lambda: len(stage.model()) == 2, what="context")
        with stage.member("agent") as agent:
            agent.reply("Nothing.")
        assert outcome().text == "Nothing."
    gate.rest()
    gate.settle()
    assert stage.inputs() == typed
    assert not (stage.project / "APPROVED").exists()
    assert len(stage.model()) == 2


def test_an_interrupt_that_no_hook_tells_does_not_leave_the_agent_busy(gate: Gate) -> None:
    """When the screen shows the agent idle again, the last report gives way, and a waiting message goes out."""
    stage = gate.stage
    gate.work()
    stage.leave("agent", "hello")
    (stage.project / "interrupt").touch()
    wait_until(lambda: any("hello" in text for text in texts(stage)), what="the message")
    gate.rest()


def test_a_draft_is_not_overwritten_and_is_not_delayed_by_hooks(gate: Gate) -> None:
    """Over a person's draft nothing is typed; when the person submits it, the message comes beside it as context."""
    stage = gate.stage
    stage.tmux("send-keys", "-t", stage.surface("agent"), "-l", "my own words")
    stage.wait_for("agent", "my own words")
    receipts: list[Json] = []
    with stage.shell() as shell:
        outcome = asking(shell, "agent", "What now?", receipts.append)
        wait_until(lambda: receipts[-1:] and receipts[-1].get("detail") == "draft", what="held")
        (stage.project / "work").touch()
        stage.tmux("send-keys", "-t", stage.surface("agent"), "Enter")
        gate.use_tool()
        wait_until(lambda: len(stage.model()) == 2, what="context")
        with stage.member("agent") as agent:
            agent.reply("Nothing.")
        assert outcome().text == "Nothing."
    assert stage.model()[0] == {"prompt": "my own words"}
    assert stage.model()[1]["context"].endswith("\nWhat now?")
    assert "paste" not in stage.inputs()
    gate.rest()


def test_a_large_body_comes_whole_by_reference(gate: Gate) -> None:
    """100 KB are not given to a hook's output: the block says where to read, and there it is whole."""
    stage = gate.stage
    body = "0123456789abcde\n" * 6400
    gate.work()
    message = stage.leave("agent", body)
    gate.use_tool()
    wait_until(lambda: len(stage.model()) == 2, what="context")
    context = stage.model()[1]["context"]
    assert f"read it: intercom-mux inbox {message[:8]}" in context
    assert len(context) < 1000
    with stage.member("agent") as agent:
        assert agent.inbox(message[:8])[0]["text"] == body
    gate.rest()


TEXTS = [
    "/quit",
    "!rm -rf .",
    "#remember",
    "@file",
    "-x",
    'it\'s "q" `h` $(id) ; #{pane_id}',
    "漢字 👩‍👩‍👧 é",
    "a\x1b[201~\x03b",
]


def test_any_text_arrives_as_text(hooked: Stage) -> None:
    """What starts with / ! # @ or holds control characters, quotes or any Unicode is only text, idle or busy."""
    with hooked.shell() as shell:
        for text in TEXTS:
            shell.send("agent", text)
        expected = [text.replace("\x1b", "").replace("\x03", "") for text in TEXTS]
        wait_until(lambda: len(re.findall(r"\[intercom\] from", "\n\n".join(texts(hooked)))) == len(TEXTS), what="all")
    given = re.split(r"(?:^|\n\n)\[intercom\] from tester · message \w{8}\n", "\n\n".join(texts(hooked)))
    assert given == ["", *expected]
    assert failures(hooked) == ""


def test_a_dialog_that_only_the_agent_reports_gets_no_key(stage: Stage) -> None:
    """No pattern knows it and the title says idle: OSC 7501 alone tells, and nothing is typed as long as it stands."""
    stage.install_tui("--osc", more="osc7501: true\n")
    stage.up({"agent": TUI})
    state = stage.project / "state"
    state.write_text("silent")
    wait_until(lambda: stage.statuses()["agent"] == "thinking", what="thinking")
    state.write_text("strange-dialog")
    wait_until(lambda: stage.statuses()["agent"] == "blocked:permission", what="blocked")
    with stage.shell() as shell:
        ticket = shell.ask_ticket("agent", "What now?", timeout_s=60)["messageId"]
        wait_until(lambda: shell.request("pending")["from_me"][0]["note"] == "blocked:permission", what="held")
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun > BLOCKED_STALE_S + 1, what="patience")
        assert stage.statuses()["agent"] == "blocked:permission"
        assert stage.inputs() == []
        state.unlink()
        stage.tmux("send-keys", "-t", stage.surface("agent"), "x")
        state.write_text("idle")
        wait_until(lambda: shell.request("pending")["from_me"][0]["note"] == "draft", what="the person's draft")
        assert shell.result(ticket)["state"] == "open"


# -- answers -------------------------------------------------------------------------------------------------------


def test_the_last_words_of_a_turn_answer_its_one_ask(hooked: Stage) -> None:
    """An agent that never replies has answered all the same, marked as automatic; what it says later corrects it."""
    (hooked.project / "answer").write_text("It is noon.")
    with hooked.shell() as shell, hooked.member("agent") as agent:
        reply = shell.ask("agent", "What time is it?", timeout_s=20)
        assert (reply.text, reply.is_auto) == ("It is noon.", True)
        late = agent.reply("It is midnight.", to=reply.ask_id)
        assert late["isLate"]
        (letter,) = wait_until(lambda: shell.request("inbox", peek=True)["messages"], what="the correction")
    assert letter["message"]["content"]["text"] == "It is midnight."
    assert letter["message"]["correctionOf"] == reply.message_id


def test_a_busy_agent_answers_what_it_was_given_in_its_turn(gate: Gate) -> None:
    """An ask that came with a tool's result is answered by the end of that turn."""
    (gate.directory / "answer").write_text("Done as asked.")
    gate.work()
    with gate.stage.shell() as shell:
        outcome = asking(shell, "agent", "Please do it.")
        gate.stage.wait_held("thinking")
        gate.use_tool()
        wait_until(lambda: len(gate.stage.model()) == 2, what="context")
        gate.rest()
        reply = outcome()
    assert (reply.text, reply.is_auto) == ("Done as asked.", True)


def test_several_asks_in_a_turn_are_told_and_stay_open(gate: Gate) -> None:
    """Nobody can tell whom the last words answer: both askers see them, and go on waiting for a reply."""
    (gate.directory / "answer").write_text("Both done.")
    notes: list[Json] = []
    gate.work()
    with gate.stage.shell("one") as one, gate.stage.shell("two") as two:
        one.on_note = notes.append
        outcome = asking(one, "agent", "First?")
        ticket = two.ask_ticket("agent", "Second?", timeout_s=60)["messageId"]
        gate.stage.wait_held("thinking", asks=2)
        gate.use_tool()
        wait_until(lambda: len(gate.stage.model()) == 2, what="context")
        gate.rest()
        wait_until(lambda: two.result(ticket).get("turn"), what="word")
        assert two.result(ticket)["turn"] == {"kind": "ended", "text": "Both done."}
        assert [row["turn"]["kind"] for row in two.request("pending")["from_me"]] == ["ended"]
        with gate.stage.member("agent") as agent:
            agent.reply("First done.", to=outcome_id(gate, "First?"))
            agent.reply("Second done.", to=ticket)
        assert (outcome().text, outcome().is_auto) == ("First done.", False)
    assert [(note["kind"], note["text"]) for note in notes] == [("ended", "Both done.")]


def outcome_id(gate: Gate, text: str) -> str:
    """Return the id of the ask with this text."""
    return next(str(row["id"]) for row in gate.stage.member_pending() if row["text"] == text)


def test_words_of_a_peer_that_waits_itself_answer_nobody(gate: Gate) -> None:
    """A turn that ended while its agent waits for somebody is told, not taken for an answer."""
    (gate.directory / "answer").write_text("I have asked somebody else.")
    gate.work()
    with gate.stage.shell("other") as other, gate.stage.shell() as shell:
        other.sessions()
        with gate.stage.member("agent") as agent:
            agent.ask_ticket("other", "Do you know?", timeout_s=60)
        ticket = shell.ask_ticket("agent", "What is it?", timeout_s=60)["messageId"]
        gate.stage.wait_held("thinking")
        gate.use_tool()
        wait_until(lambda: len(gate.stage.model()) == 2, what="context")
        gate.rest()
        turn = wait_until(lambda: shell.result(ticket).get("turn"), what="word")
    assert turn == {"kind": "ended", "text": "I have asked somebody else."}


def test_an_explicit_reply_is_the_only_one(gate: Gate) -> None:
    """An agent that replies in its turn is not answered for at its end."""
    gate.work()
    with gate.stage.shell() as shell:
        outcome = asking(shell, "agent", "What now?")
        gate.stage.wait_held("thinking")
        gate.use_tool()
        wait_until(lambda: len(gate.stage.model()) == 2, what="context")
        with gate.stage.member("agent") as agent:
            agent.reply("Nothing.")
        gate.rest()
        gate.settle()
        assert (outcome().text, outcome().is_auto) == ("Nothing.", False)
        assert shell.inbox(peek=True) == []


def test_an_interrupted_turn_is_told_with_the_screen(gate: Gate) -> None:
    """No hook tells the end: the asker hears that the peer is idle again, and sees the end of its screen."""
    gate.work()
    with gate.stage.shell() as shell:
        ticket = shell.ask_ticket("agent", "What now?", timeout_s=60)["messageId"]
        gate.stage.wait_held("thinking")
        gate.use_tool()
        wait_until(lambda: len(gate.stage.model()) == 2, what="context")
        (gate.directory / "interrupt").touch()
        turn: Json = wait_until(lambda: shell.result(ticket).get("turn", {}), timeout_s=20, what="word")
    assert turn["kind"] == "idle"
    assert "Type a message" in turn["text"]
    gate.rest()


def test_an_agent_without_hooks_is_told_to_be_idle_again(stage: Stage) -> None:
    """The command line of the asker says so on stderr, with the end of the screen, and goes on waiting."""
    stage.install_tui()
    stage.up({"agent": TUI})
    asker = start("ask", "--team", stage.name, "agent", "What now?", "--timeout", "30s", cwd=str(stage.project))
    assert asker.stderr is not None
    line = asker.stderr.readline()
    assert "it is idle again without a reply; the ask stays open" in line
    while "Type a message" not in line:
        line = asker.stderr.readline()
    with stage.member("agent") as agent:
        agent.reply("Nothing.")
    out, _ = asker.communicate(timeout=20)
    assert (asker.returncode, out.strip()) == (0, "Nothing.")


# -- deaths --------------------------------------------------------------------------------------------------------


def test_a_hook_killed_before_it_printed_gives_its_message_again(gate: Gate) -> None:
    """What was handed out but not printed comes with the next event, once."""
    stage = gate.stage
    gate.work()
    stage.leave("agent", "hello")
    environment = {**os.environ, "INTERCOM_MUX_IDENTITY": str(stage.runtime / "agent.identity")}
    reader, writer = os.pipe()
    os.close(reader)
    # Its stdout is closed, so it dies at the very moment of printing.
    argv = [str(Path(sys.executable).with_name("intercom-mux")), "hook", "claude", "PostToolUse"]
    done = subprocess.run(argv, input=b"{}", stdout=writer, stderr=subprocess.PIPE, env=environment, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(stage.model()) == 1
    gate.use_tool()
    wait_until(lambda: len(stage.model()) == 2, what="context")
    assert stage.model()[1]["context"].endswith("\nhello")
    gate.rest()
    gate.settle()
    assert len(stage.model()) == 2


def test_a_daemon_killed_with_a_message_waiting_gives_it_after_its_return(gate: Gate) -> None:
    """Hooks without a daemon do not hurt the agent; the message waits at the broker, and comes once."""
    stage = gate.stage
    gate.work()
    receipts: list[Json] = []

    def times_received() -> int:
        return sum(receipt["status"] == "receiver_received" for receipt in receipts)

    with stage.shell() as shell:
        outcome = asking(shell, "agent", "hello", receipts.append)
        stage.wait_held("thinking")
        wait_until(times_received, what="the message at the daemon")
        os.kill(stage.daemon_pid(), signal.SIGKILL)
        gate.use_tool()
        assert times_received() == 1
        stage.up({"agent": HOOKED})
        wait_until(lambda: times_received() == 2, what="the message at the new daemon")
        gate.use_tool()
        wait_until(lambda: len(stage.model()) == 2, what="context")
        assert stage.model()[1]["context"].endswith("\nhello")
        gate.rest()
        gate.settle()
        assert outcome().text == "done"
    assert len(stage.model()) == 2
    assert failures(stage) == ""


def test_a_daemon_killed_between_giving_and_its_confirmation_gives_nothing_twice(gate: Gate) -> None:
    """Whether the agent was told cannot be known: the sender hears that, and the message is not given again."""
    stage = gate.stage
    gate.work()
    with stage.shell() as shell, hook_call.connected(stage) as caller:
        ticket = shell.ask_ticket("agent", "hello", timeout_s=60)["messageId"]
        wait_until(lambda: shell.request("pending")["from_me"][0]["note"] == "thinking", what="held")
        caller.sendall(encode(hook_call.call(stage)))
        assert "hello" in hook_call.answer(caller)["stdout"]
        os.kill(stage.daemon_pid(), signal.SIGKILL)
        stage.up({"agent": HOOKED})
        row = wait_until(lambda: _if_unknown(shell.request("pending")["from_me"][0]), what="unknown")
        assert row["id"] == ticket
    gate.use_tool()
    gate.rest()
    gate.settle()
    assert len(stage.model()) == 1


def _if_unknown(row: Json) -> Json:
    return row if row["note"].startswith("outcome unknown") else {}


def test_a_restarted_broker_brings_nothing_twice(gate: Gate) -> None:
    """What was given is not given again when the broker comes back; what waits is."""
    stage = gate.stage
    gate.work()
    stage.leave("agent", "first")
    gate.use_tool()
    wait_until(lambda: len(stage.model()) == 2, what="context")
    stage.leave("agent", "second")
    os.kill(broker_pid(), signal.SIGKILL)
    wait_until(lambda: _try(lambda: stage.statuses()), what="the broker's return")
    gate.use_tool()
    wait_until(lambda: len(stage.model()) == 3, what="the second")
    gate.rest()
    gate.settle()
    assert [entry["context"].split("\n")[-1] for entry in stage.model()[1:]] == ["first", "second"]


def _try(look: Any) -> Any:
    try:
        return look()
    except Exception:
        return None
