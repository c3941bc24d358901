"""The account of a crash trial: who sent what and was told what, who was shown what, and what that breaks."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, defaultdict


class Account:
    """Who sent what to whom and was told what, who was shown what, how asks ended. Thread-safe."""

    def __init__(self) -> None:
        self.sent: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
        """(sender, receiver, lane) → message id → accepted, unknown or a code, in order of sending.

        A lane is one connection's worth: order is promised for each of them alone.
        """
        self.shown: dict[str, dict[tuple[str, str], None]] = defaultdict(dict)
        """Receiver → (sender, message id), in order of the first arrival."""
        self.repeats: Counter[str] = Counter()
        self.asks: Counter[str] = Counter()
        self.cuts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._lock = threading.Lock()

    def told(self, sender: str, receiver: str, message_id: str, outcome: str, lane: str = "sends") -> None:
        with self._lock:
            self.sent[sender, receiver, lane][message_id] = outcome

    def show(self, receiver: str, sender: str, message_id: str) -> None:
        """Take an arrival; what has been there before is dropped, as every receiver does by the id."""
        with self._lock:
            if (sender, message_id) in self.shown[receiver]:
                self.repeats[receiver] += 1
            else:
                self.shown[receiver][sender, message_id] = None

    def has_all(self) -> bool:
        """Whether everything accepted has arrived."""
        with self._lock:
            return not any(map(self._missing, self.sent))

    def _missing(self, lane: tuple[str, str, str]) -> list[str]:
        sender, receiver, _ = lane
        sent, shown = self.sent[lane], self.shown[receiver]
        return [key for key, outcome in sent.items() if outcome == "accepted" and (sender, key) not in shown]

    def faults(self) -> list[str]:
        """Return every breach of what is promised."""
        found = list(self.problems)
        for lane, sent in self.sent.items():
            sender, receiver, what = lane
            pair = f"{sender} to {receiver}, {what}"
            found += [f"{pair}: {key} was accepted and is lost" for key in self._missing(lane)]
            arrived = [key for who, key in self.shown[receiver] if who == sender and key in sent]
            found += [f"{pair}: {key} was refused and arrived" for key in arrived if sent[key].startswith("E_")]
            place = {key: number for number, key in enumerate(sent)}
            turned = [(one, two) for one, two in itertools.pairwise(arrived) if place[one] > place[two]]
            found += [f"{pair}: {one} came before {two}" for one, two in turned]
        known = {(sender, receiver, key) for (sender, receiver, _), sent in self.sent.items() for key in sent}
        for receiver, shown in self.shown.items():
            shown = {key: None for key in shown if key[0] != "intercom-mux"}
            found += [f"{receiver} was shown {who}'s {key}" for who, key in shown if (who, receiver, key) not in known]
        return found

    def summary(self) -> str:
        outcomes = Counter(outcome for sent in self.sent.values() for outcome in sent.values())
        shown = sum(map(len, self.shown.values()))
        return (
            f"messages {dict(outcomes)}; shown {shown}, repeats dropped {sum(self.repeats.values())};"
            f" asks {dict(self.asks)}; v1 clients cut {dict(self.cuts)}"
        )
