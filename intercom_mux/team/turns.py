"""Which asks a peer worked on in its turn, and what their askers hear when it ends. Pure.

An answer does not depend on the agent's goodwill, but nobody is told as an answer what may be none. A turn's last words
answer an ask only if exactly one ask is proved to have been given in that turn, it is still open, and the peer itself
waits for nobody. Else each asker of an open one hears that the turn ended, with the words, and goes on waiting. The
ends of sub-agents are no ends of turns; profiles do not register them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Verdict(NamedTuple):
    """What to do for one ask: `answer` it, or tell its asker that the turn `ended`, or that the peer is `idle`."""

    ask_id: str
    kind: Literal["answer", "ended", "idle"]


@dataclass(frozen=True, slots=True)
class Given:
    """An ask of a turn.

    Attributes:
        is_proved: The agent itself named it, or fetched it; else its screen alone says that it has it.
        is_typed: It came as a prompt, or in one, and not beside a tool's result.
        is_told: Its asker has heard that the peer is idle again.
    """

    ask_id: str
    is_proved: bool
    is_typed: bool = True
    is_told: bool = False


class Turn:
    """The asks of the turn that runs.

    A turn ends when the agent says so (`end`). When only its screen does (`rest`), the end may still come, until the
    next prompt.
    """

    def __init__(self) -> None:
        self._asks: dict[str, Given] = {}

    def __bool__(self) -> bool:
        """Whether an ask is in it of which nobody has heard yet."""
        return not all(ask.is_told for ask in self._asks.values())

    def begin(self) -> None:
        """A prompt was submitted: what was left by a turn that came to rest is no part of this one."""
        self._asks = {ask_id: ask for ask_id, ask in self._asks.items() if not ask.is_told}

    @property
    def typed(self) -> list[str]:
        """The asks that were prompts of this turn."""
        return [ask.ask_id for ask in self._asks.values() if ask.is_typed]

    def give(self, ask_id: str, *, is_proved: bool, is_typed: bool = True) -> None:
        """The agent has got this ask."""
        before = self._asks.get(ask_id, Given(ask_id, is_proved, is_typed))
        self._asks[ask_id] = replace(before, is_proved=before.is_proved or is_proved)

    def end(self) -> list[Given]:
        """The agent says that the turn is over; return its asks."""
        asks, self._asks = list(self._asks.values()), {}
        return asks

    def rest(self) -> list[Given]:
        """The agent is seen idle; return the asks of which nobody has heard yet."""
        untold = [ask for ask in self._asks.values() if not ask.is_told]
        self._asks = {ask_id: replace(ask, is_told=True) for ask_id, ask in self._asks.items()}
        return untold


def judge(asks: Sequence[Given], words: str | None, *, still_open: Collection[str], is_waiting: bool) -> list[Verdict]:
    """Return what the askers of a turn hear.

    Args:
        asks: Every ask that was given in the turn.
        words: The turn's last message; None: nothing tells it.
        still_open: Ids of open asks to the peer.
        is_waiting: Whether the peer itself waits for an answer of somebody.
    """
    has_words = words is not None and bool(words.strip())
    open_ids = [ask.ask_id for ask in asks if ask.ask_id in still_open]
    if has_words and open_ids and len(asks) == 1 and asks[0].is_proved and not is_waiting:
        return [Verdict(asks[0].ask_id, "answer")]
    return [Verdict(ask_id, "ended" if has_words else "idle") for ask_id in open_ids]
