"""What every agent does with what arrives, against a recording client."""

from __future__ import annotations

from pathlib import Path

import pytest

from intercom_mux.agents.demo import agent as module
from intercom_mux.agents.demo.agent import BROKER_ATTEMPTS, Agent
from intercom_mux.errors import BrokerError
from tests.agents.demo.recording import RecordingIntercom, RecordingPane, session

AUTH = Path(__file__).parents[3] / "examples" / "quickstart" / "auth-service"


def scout(intercom: RecordingIntercom, pane: RecordingPane, root: Path = AUTH, prompt: str = "") -> Agent:
    found = Agent("reference-auth", "scout", pane, intercom.connect, root, prompt=prompt)
    found.start()
    return found


def test_an_ask_is_answered_from_the_files_under_its_id() -> None:
    """The reply quotes the best passages, and the transcript shows question, answer and outcome."""
    intercom, pane = RecordingIntercom(), RecordingPane()
    scout(intercom, pane).handle(
        "[intercom] from planner · ask 7f3a · reply: …\nHow does this repo structure token refresh retries?"
    )
    [(to, text)] = intercom.replied
    assert to == "7f3a"
    assert "docs/token-refresh.md:" in text
    assert "def _refresh_with_retries" in text
    assert "How does this repo structure token refresh retries?" in pane.seen
    assert text in pane.seen
    assert "✓ replied to planner" in pane.seen
    assert pane.titles == ["tool:search", "thinking", "tool:reply", "thinking"]


def test_a_person_is_answered_on_the_screen_only() -> None:
    """A typed question meets the same search and nothing is sent."""
    intercom, pane = RecordingIntercom(), RecordingPane()
    scout(intercom, pane).handle("what is the retry budget?")
    assert "class RetryBudget" in pane.seen
    assert intercom.replied == intercom.sent == []


def test_words_of_a_person() -> None:
    """`help` and `peers` tell, `quit` ends."""
    intercom, pane = (
        RecordingIntercom(roster=[session("scout", "scout", is_self=True), session("w", "worker")]),
        RecordingPane(),
    )
    agent = scout(intercom, pane)
    agent.handle("help")
    agent.handle(" Peers ")
    assert "peers   who is there" in pane.seen
    assert "  scout  scout  idle  (me)\n  w  worker  idle" in pane.seen
    with pytest.raises(SystemExit) as caught:
        agent.handle("quit")
    assert caught.value.code == 0


def test_messages_and_replies_are_only_shown() -> None:
    """What wants no reply gets none, so that two agents cannot talk in circles."""
    intercom, pane = RecordingIntercom(), RecordingPane()
    agent = scout(intercom, pane)
    agent.handle("[intercom] from a · message 1\nWhat is a token?")
    agent.handle("[intercom] from a · reply 2 to 3\nA secret.")
    assert intercom.replied == intercom.sent == []
    assert "  What is a token?" in pane.seen
    assert "  A secret." in pane.seen


def test_a_body_that_was_not_typed_is_fetched() -> None:
    """A header that says where to read is followed; attachments are searched too."""
    letter = {
        "id": "7f3a99",
        "from": "planner",
        "kind": "ask",
        "text": "What does the frobnicator do?",
        "attachments": [{"type": "file", "name": "frob.py", "content": "def frobnicator():\n    return 42"}],
    }
    intercom, pane = RecordingIntercom(letters=[letter]), RecordingPane()
    scout(intercom, pane).handle("[intercom] from planner · ask 7f3a · read it: intercom-mux inbox 7f3a")
    [(_, text)] = intercom.replied
    assert "attachment:frob.py:1-2" in text
    assert "and 1 attachment" in text


def test_a_body_that_is_gone_is_said() -> None:
    """A message that cannot be read is reported on the screen, and the agent lives on."""
    pane = RecordingPane()
    scout(RecordingIntercom(), pane).handle("[intercom] from a · ask 7f · read it: intercom-mux inbox 7f")
    assert "✗ this message could not be dealt with: message 7f is not in the inbox" in pane.seen


@pytest.mark.parametrize("error", [BrokerError("no broker"), ConnectionResetError("the broker hung up")])
def test_a_broker_that_comes_back_loses_no_reply(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """An action is tried again on a new connection; after some attempts the failure is shown."""
    monkeypatch.setattr(module, "BROKER_PAUSE_S", 0)
    intercom, pane = RecordingIntercom(connect_errors=[error] * (BROKER_ATTEMPTS - 1)), RecordingPane()
    agent = scout(intercom, pane)
    agent.handle("[intercom] from a · ask 7f\nretry budget?")
    assert len(intercom.replied) == 1
    intercom.connect_errors = [error] * BROKER_ATTEMPTS
    agent.handle("[intercom] from a · ask 7e\nretry budget?")
    assert len(intercom.replied) == 1
    assert f"✗ this message could not be dealt with: {error}" in pane.seen


def test_a_long_body_is_cut_on_the_screen_only(tmp_path: Path) -> None:
    """The transcript stays readable; the search sees all of it."""
    (tmp_path / "a.txt").write_text("needle")
    intercom, pane = RecordingIntercom(), RecordingPane()
    body = "\n".join(["hay " * 200] * 100 + ["needle"])
    scout(intercom, pane, tmp_path).handle(f"[intercom] from a · ask 7f\n{body}")
    assert "… (+61 lines)" in pane.seen
    assert max(map(len, pane.seen.split("\n"))) < 500
    assert "a.txt:1-1" in intercom.replied[0][1]


def test_the_prompt_is_shown(tmp_path: Path) -> None:
    """A person sees what the agent was told to be."""
    pane = RecordingPane()
    scout(RecordingIntercom(), pane, tmp_path, prompt="You know this.\nChange nothing.")
    assert "  You know this.\n  Change nothing." in pane.seen
