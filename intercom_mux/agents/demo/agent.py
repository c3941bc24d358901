"""What every demo agent does: show what arrives, answer asks from the files of its directory, obey a few words."""

from __future__ import annotations

import itertools
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from intercom_mux.agents.demo import broad
from intercom_mux.agents.demo import inbound as inbox
from intercom_mux.agents.demo.answer import compose
from intercom_mux.agents.demo.cells import fitted
from intercom_mux.agents.demo.intercom import verb as run_verb
from intercom_mux.agents.demo.search import Document, rank
from intercom_mux.agents.demo.tree import Tree
from intercom_mux.errors import BrokerError, DeliveryError, IntercomError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from intercom_mux.agents.demo.inbound import Inbound
    from intercom_mux.agents.demo.intercom import Connect, Intercom, Verb
    from intercom_mux.agents.demo.search import Ranking

T = TypeVar("T")

BROKER_ATTEMPTS = 3
"""How often an action is tried while the broker cannot be reached or hangs up; the client sees to duplicates."""

BROKER_PAUSE_S = 0.3
"""Seconds before the second attempt; each further one waits as much longer."""

SHOWN_LINES_MAX = 40
SHOWN_LINE_MAX_CHARS = 400
"""Longer bodies and lines are cut in the transcript, never in what is worked on."""

HELP = """\
Type a question: I answer it from the text files of this directory, with file and line.
  peers   who is there
  help    this text
  quit    end (so does Ctrl-C)"""


class Pane(Protocol):
    """Where an agent shows what it does; `Terminal` is one."""

    def show(self, text: str, style: str = "") -> None: ...
    def status(self, status: str) -> None: ...


class Agent:
    """A scout, reviewer or any role without a class of its own; it only answers.

    Attributes:
        tick_s: Seconds between calls of `tick` while nothing arrives; None for no calls.
    """

    tick_s: float | None = None

    def __init__(
        self,
        name: str,
        role: str,
        pane: Pane,
        connect: Connect,
        root: Path,
        *,
        prompt: str = "",
        pace_s: float = 0.0,
        verb: Verb = run_verb,
    ) -> None:
        self.name = name
        self.role = role
        self.prompt = prompt
        self._pane = pane
        self._connect = connect
        self._root = root
        self._pace_s = pace_s
        self._verb = verb

    def start(self) -> None:
        """Introduce itself. Nothing is asked of the broker yet."""
        self._pane.show(f"{self.name} ({self.role}), a demo agent in {self._root}", "strong")
        if self.prompt.strip():
            self._pane.show(_indented(_shortened(self.prompt.strip())), "faint")
        self._pane.show("Questions are answered from the files here. Type help for more.", "faint")

    def tick(self) -> None:
        """Do what is due without a message."""

    def handle(self, submission: str) -> None:
        """Act on one submitted draft. Failures of the broker or the disk are shown, never raised.

        Raises:
            SystemExit: A person typed `quit`.
        """
        first, _, rest = submission.strip("\n").partition("\n")
        self._pane.show("")
        self._pane.show(_shortened(first), "strong")
        try:
            message = self._with_body(inbox.parse(submission))
            if message.sender is not None:
                rest = message.text
            if rest.strip():
                self._pane.show(_indented(_shortened(rest)))
            self._dispatch(message)
        except (IntercomError, OSError) as error:
            self._failed("this message could not be dealt with", error)

    def answer(self, message: Inbound) -> str:
        """Return the answer to a question; overridden by roles that know more than the files."""
        return self._answer_from_files(message.text, message.attachments)

    def on_message(self, message: Inbound) -> None:
        """Act on a message that wants no reply: the transcript shows it, that is all."""

    def on_word(self, word: str) -> str | None:
        """Return the text for a word typed by a person, None when it is no command."""
        if word == "help":
            return HELP
        if word == "peers":
            return self._roster()
        if word == "quit":
            raise SystemExit(0)
        return None

    def _dispatch(self, message: Inbound) -> None:
        if message.sender is None:
            text = self.on_word(message.text.strip().lower())
            self._pane.show(text if text is not None else self.answer(message))
        elif message.kind == "ask":
            self._reply(message, self.answer(message))
        elif message.kind == "message":
            self.on_message(message)

    def _reply(self, message: Inbound, text: str) -> None:
        self._pane.show(text)
        with self._doing("reply"):
            self._call(lambda me: me.reply(text, to=message.id))
        self._pane.show(f"✓ replied to {message.sender}", "good")

    def _send(self, to: str, text: str) -> None:
        with self._doing("send"):
            self._call(lambda me: me.send(to, text))
        self._pane.show(f"✓ sent to {to}", "good")

    def _answer_from_files(self, question: str, attachments: Sequence[Document] = ()) -> str:
        topic = broad.topic(question) if not attachments else None
        survey = broad.Survey()
        ranking, searched = self._search(question, attachments, survey if topic else None)
        if topic is None:
            return compose(ranking, searched)
        name = self._root.name or str(self._root)
        if topic == broad.ABOUT:
            return broad.about(survey, name, searched)
        if told := broad.how(survey, name, topic):
            return told
        return compose(ranking, searched) if broad.is_met(ranking, topic) else broad.no_how(survey, topic, searched)

    def _search(
        self, question: str, attachments: Sequence[Document] = (), survey: broad.Survey | None = None
    ) -> tuple[Ranking, str]:
        """Return the ranked passages and what was searched, in words; `survey` sees the files on the way."""
        tree = Tree(self._root)
        documents = tree.documents() if survey is None else survey.see(tree.documents())
        with self._doing("search"):
            ranking = rank(question, itertools.chain(attachments, documents))
        searched = f"{tree.read:,} file{'' if tree.read == 1 else 's'} in {self._root.name or self._root}"
        if attachments:
            searched += f" and {len(attachments)} attachment{'' if len(attachments) == 1 else 's'}"
        if tree.stopped_by:
            searched += f", stopped after {tree.stopped_by}: there are more"
        self._pane.show(f"· searched {searched}", "faint")
        return ranking, searched

    def _with_body(self, message: Inbound) -> Inbound:
        """Return the message with its body, fetched when only the header was typed."""
        if message.fetch_id is None:
            return message
        fetch_id = message.fetch_id
        with self._doing("inbox"):
            found = self._call(lambda me: me.inbox(fetch_id))
        if not found:
            raise DeliveryError(f"message {fetch_id} is not in the inbox")
        text, attachments = inbox.split_attachments(str(found[-1].get("text", "")))
        named = tuple(
            Document(f"attachment:{each.get('name', '')}", str(each.get("content", "")))
            for each in found[-1].get("attachments") or ()
        )
        return replace(message, text=text, attachments=(*attachments, *named))

    def _sessions(self) -> list[dict[str, Any]]:
        return self._call(lambda me: me.sessions())

    def _roster(self) -> str:
        rows = [
            f"  {each.get('name')}  {each.get('role') or '-'}  {each.get('status') or 'unknown'}"
            + ("  (me)" if each.get("self") else "")
            for each in self._sessions()
        ]
        return "\n".join(rows) or "Nobody is there."

    def _call(self, action: Callable[[Intercom], T], attempts: int = BROKER_ATTEMPTS) -> T:
        """Connect, act, and part; tried again while the broker cannot be reached."""
        for attempt in range(1, attempts + 1):
            try:
                with self._connect() as me:
                    return action(me)
            except (BrokerError, ConnectionError):
                if attempt == attempts:
                    raise
                time.sleep(BROKER_PAUSE_S * attempt)
        raise AssertionError("the last attempt returns or raises")

    def _failed(self, what: str, error: Exception) -> None:
        hint = getattr(error, "hint", None)
        self._pane.show(f"✗ {what}: {error}" + (f" ({hint})" if hint else ""), "bad")

    @contextmanager
    def _doing(self, tool: str) -> Iterator[None]:
        """Show `tool:NAME` in the title meanwhile."""
        self._pane.status(f"tool:{tool}")
        time.sleep(self._pace_s)
        try:
            yield
        finally:
            self._pane.status("thinking")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def _shortened(text: str) -> str:
    lines = text.split("\n")
    shown = [fitted(line, SHOWN_LINE_MAX_CHARS) for line in lines[:SHOWN_LINES_MAX]]
    if len(lines) > SHOWN_LINES_MAX:
        shown.append(f"… (+{len(lines) - SHOWN_LINES_MAX} lines)")
    return "\n".join(shown)
