"""All that the board reads and does: broker, journal, state, multiplexer. Called from threads, blocking."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from intercom_mux.broker import history
from intercom_mux.client.blocking import Client
from intercom_mux.client.link import now_ms
from intercom_mux.errors import BrokerError, IntercomError, TeamError
from intercom_mux.supervise import open_asks
from intercom_mux.team import state as team_states
from intercom_mux.team import up
from intercom_mux.team.multiplexer import attach_argv, multiplexer_of
from intercom_mux.watch.model import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from intercom_mux.client.identity import Identity
    from intercom_mux.supervise.answer import Pending
    from intercom_mux.team.state import TeamState

Json = dict[str, Any]

LOOK_S = 1.0
"""How often to look when no event comes: what others say to each other is told by the journal alone."""
SOON_S = 0.1
"""Events that come so close together are shown at once."""
_WINDOW_MS = 2 * 3600 * 1000
_MESSAGES = 200
_MAX_CHARS = 400


class _Onlooker(Client):
    """A connection that is used while it lasts: nobody waits for a broker here, the board shows that it is away."""

    wants_events = True

    def _exchange(self, frame: Json, is_answer: Callable[[Json], bool]) -> Json:
        self._post(frame)
        return self._await(is_answer)

    def rest(self, seconds: float) -> None:
        """Return at the next event and what follows close on it, or after `seconds`; raises OSError when cut off."""
        with suppress(TimeoutError):
            self._next(time.monotonic() + seconds)
            while True:
                self._next(time.monotonic() + SOON_S)


class Feed:
    """The board's view of one team, as whoever `identity` is. Never starts a broker by looking."""

    def __init__(self, identity: Identity, team: TeamState) -> None:
        self.me = identity
        self.team = team
        # A named broker is there or not: the client then never starts one.
        self._onlooker = replace(identity, is_explicit=True)
        self._is_over = threading.Event()
        self._mux = multiplexer_of(team)
        # The first capture imports libtmux, which cannot be imported once textual has replaced stdout.
        with suppress(IntercomError):
            self._mux.capture("%0")

    # -- looking ---------------------------------------------------------------------------------------------------

    def run(self, on_seen: Callable[[Snapshot], None], on_lost: Callable[[str], None]) -> None:
        """Tell of every look until `stop`; `on_lost` hears why there is nothing to see, each time it is tried in vain.

        While the team is down no connection is held, so that the broker may end.
        """
        while not self._is_over.is_set():
            try:
                self._refresh_team()
                with _Onlooker.connect(self._onlooker) as client:
                    while not self._is_over.is_set():
                        self._refresh_team()
                        on_seen(self._look(client))
                        client.rest(LOOK_S)
            except (IntercomError, OSError) as error:
                on_lost(error.message if isinstance(error, IntercomError) else str(error))
            self._is_over.wait(LOOK_S)

    def stop(self) -> None:
        """Let `run` return within about a second."""
        self._is_over.set()

    def screen(self, peer: str) -> str:
        """Return what stands on a peer's screen, or why it cannot be seen."""
        known = self.team.peers.get(peer)
        if known is None or known.surface is None:
            return f"{peer} has no pane here"
        try:
            return self._mux.capture(known.surface)
        except IntercomError as error:
            return error.message

    def attach_argv(self, peer: str) -> tuple[list[str], bool]:
        """Return the command that shows a peer's pane to a person, and whether it takes the board's terminal.

        It does not where the board stands in the team's own tmux, whose client is led to the pane.

        Raises:
            TeamError: It has none.
        """
        known = self.team.peers.get(peer)
        if known is None or known.surface is None:
            raise TeamError(f"{peer} has no pane here", code="E_NO_PEER")
        if os.environ.get("TMUX", "").startswith(f"{self.team.socket},"):
            return ["tmux", "-S", str(self.team.socket), "switch-client", "-t", known.surface], False
        return attach_argv(self.team, known.surface), True

    def _refresh_team(self) -> None:
        state = team_states.load(self.team.id)
        if state is None:
            raise TeamError(f"team {self.team.name} is down", code="E_NO_TEAM")
        self.team = state

    def _look(self, client: Client) -> Snapshot:
        at = now_ms()
        standing = client.request("waits")
        ids = [peer.session_id for peer in self.team.peers.values()]
        told = history.exchange(ids, since=at - _WINDOW_MS, max_chars=_MAX_CHARS)
        return Snapshot(
            at=at,
            team=self.team.id,
            name=self.team.name,
            peers={peer.name: peer.surface for peer in self.team.peers.values()},
            sessions=client.sessions(),
            asks=standing["asks"],
            mail=standing["mail"],
            tasks=[row for row in client.tasks() if row["team"] == self.team.id],
            messages=told[-_MESSAGES:],
            to_me=open_asks.pending(client)["to_me"],
            me=self.me.session_id,
        )

    # -- doing: only when a person said so ---------------------------------------------------------------------------

    def send(self, to: str, text: str) -> str:
        """Send a message and return what became of it, in words; raises as `Client.send`."""
        with self._speaking() as client:
            is_away = client.send(to, text)["delivery"] == "queued"
        return f"queued for {to}, which is not connected" if is_away else f"delivered to {to}"

    def ask(self, to: str, text: str) -> str:
        """Ask without waiting: the reply shows in the timeline, and comes to our mailbox."""
        with self._speaking() as client:
            client.ask_ticket(to, text)
            return f"asked {to}"

    def asked(self) -> list[Pending]:
        """Return the asks that wait for us, whole."""
        with self._speaking() as client:
            return open_asks.to_answer(client)

    def inbox(self) -> list[Json]:
        """Return the messages that wait for us, which are read by that; asks stay open."""
        with self._speaking() as client:
            return client.inbox()

    def reply(self, ask_id: str, text: str) -> str:
        """Answer an ask that waits for us."""
        with self._speaking() as client:
            return f"answered {open_asks.reply(client, text, to=ask_id)['to']}"

    def restart(self, peer: str) -> str:
        """Start a peer's program again; raises as `up.change`."""
        up.change(self.team, {"type": "restart", "peers": [peer], "wait": False}, _ignore, action=f"restart {peer}")
        return f"{peer} is started again"

    def kill(self, peer: str) -> str:
        """End a peer for good; raises as `up.change`."""
        request = {"type": "kill", "peers": [peer], "idle_only": False}
        up.change(self.team, request, _ignore, action=f"kill {peer}")
        return f"{peer} is ended"

    def _speaking(self) -> Client:
        if self.me.is_foreign:
            raise BrokerError("the broker is not ours")
        return Client.connect(self.me)


def environment() -> dict[str, str]:
    """Return the environment for the attach command, which refuses to run inside of another tmux."""
    return {key: value for key, value in os.environ.items() if key not in {"TMUX", "TMUX_PANE"}}


def _ignore(_event: Json) -> None:
    """What the daemon tells on the way shows on the board itself."""
