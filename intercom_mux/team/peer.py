"""One peer of a running team, inside the team daemon: its endpoint at the broker, its mail, its live status."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux.agents import detect
from intercom_mux.client.aio import Endpoint, Registration
from intercom_mux.errors import BrokerError, IntercomError
from intercom_mux.team import status_log
from intercom_mux.team.answers import Answers
from intercom_mux.team.mailbag import Mailbag, parcel_of
from intercom_mux.team.native import NativeClient
from intercom_mux.team.osc7501 import Osc7501Log
from intercom_mux.team.routes import hook
from intercom_mux.team.routes.base import Target
from intercom_mux.team.routes.table import routes_to
from intercom_mux.team.routes.wording import short_id
from intercom_mux.team.status import Dated, follow, is_believed, merge, succeed
from intercom_mux.team.terminal import with_terminal
from intercom_mux.team.turns import Turn
from intercom_mux.transcript.keeping import transcripts_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intercom_mux.agents.profile import HookEvent, Profile
    from intercom_mux.mux.base import Multiplexer, SurfaceState
    from intercom_mux.team.routes.base import Parcel
    from intercom_mux.team.state import PeerState, TeamState
    from intercom_mux.team.typing_log import TypingLog

Json = dict[str, Any]
REST_S = 2.0
"""How long an agent must be idle after an ask for its asker to hear that no answer came."""
EXIT_STATUS_S = 1.0
"""How long after a program's end its exit status is waited for: tmux may tell of the end first."""
log = logging.getLogger("intercom_mux.team")


class HookAnswer(NamedTuple):
    """What a hook call shall print, "" for nothing; `end` must then be told, once, whether it did."""

    text: str = ""
    end: Callable[[bool], None] = lambda _: None


NOTHING = HookAnswer()


class TeamPeer:
    """Delivers what the broker has for one peer, oldest first, and tells the broker how the peer is.

    `start` begins, `stop` ends; both on the daemon's event loop. The daemon feeds it by `observe`.
    """

    def __init__(self, team: TeamState, state: PeerState, profile: Profile, mux: Multiplexer, log: TypingLog) -> None:
        self.state = state
        self.profile = profile
        self.status = detect.STARTING.text
        self.exit_status: int | None = None
        self._dead_since = 0.0
        self.was_ready = False
        self._outlook = ""
        self._mux = mux
        self._team_id = team.id
        self._mail = Mailbag(state.session_id, log, self._receipt, self._on_handed, profile.inbound)
        self._is_native = "native" in profile.routes
        self._native = NativeClient(self._mail, lambda fields: self.endpoint.courier(fields))
        self._turn = Turn()
        self._thread: str | None = None
        self._idle_since: float | None = None
        self._screen = Dated(self.status, 0.0)
        self._report: Dated | None = None
        self._osc7501 = Osc7501Log(transcripts_dir(team.id) / state.name)
        self._tasks: list[asyncio.Task[None]] = []
        self._registration = Registration(
            session_id=state.session_id,
            name=state.name,
            role=state.role,
            cwd=str(state.cwd),
            model=state.agent,
            pid=state.pid or 0,
            team={"id": team.id, "name": team.name, "dir": str(team.project)},
            token=state.token,
            scope=team.id if team.isolated else "",
        )
        self.endpoint: Endpoint

    def start(self, socket: Path) -> None:
        """Connect to the broker and begin to deliver."""
        self.endpoint = Endpoint(socket, self._registration, self, self if self._is_native else None)
        self._answers = Answers(self.endpoint, self._capture)
        self._tasks = [asyncio.create_task(self.endpoint.run()), asyncio.create_task(self._mail.deliver_for_ever())]
        self._tasks[0].add_done_callback(self._note_refusal)
        self._record(self.status)
        if self.state.surface:
            self.adopt(self.state.surface)

    async def registered(self, timeout_s: float) -> None:
        """Wait until the broker knows the peer.

        Raises:
            BrokerError: It refuses the peer, or did not answer in time.
        """
        connected = asyncio.create_task(self.endpoint.connected.wait())
        done, _ = await asyncio.wait(
            [connected, self._tasks[0]], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        connected.cancel()
        if self._tasks[0] in done:
            self._tasks[0].result()
        if not done:
            raise BrokerError(
                f"the broker did not register {self.state.name} in time", hint="see `intercom-mux broker status`"
            )

    def _note_refusal(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error("%s receives no messages: %s", self.state.name, error)

    async def stop(self, last: str = status_log.STOPPED) -> None:
        """Hang up and end, `last` being recorded; what was not delivered waits at the broker."""
        self._record(last)
        self.endpoint.close()
        self._answers.close()
        self._mail.use(())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def adopt(self, surface: str) -> None:
        """Deliver into `surface` from now on."""
        self.state.surface = surface
        self._report = None
        target = Target(
            self.state,
            self.profile,
            self._mux,
            surface,
            self._mail.journal,
            self._reported,
            self.take_report,
            lambda: self._native.may_type or not self._is_native,
            self._on_turn_end,
            lambda: self._thread,
        )
        self._mail.use(routes_to(target))

    @property
    def needs_screen(self) -> bool:
        """Whether status can only be told from the screen's text, which costs a call."""
        patterns = [pattern.evidence for pattern in self.profile.status]
        if self.profile.ready is not None:
            patterns.append(self.profile.ready)
        return any(pattern.screen for pattern in patterns)

    @property
    def shows_readiness(self) -> bool:
        """Whether its program can be seen to have finished starting; of any other, nothing more than life is known."""
        return bool(self.profile.status) or self.profile.ready is not None

    @property
    def is_busy(self) -> bool:
        """Whether the daemon should look often: something is starting, working or waiting to be delivered."""
        waits = bool(self._mail) and not self._is_read_by_person
        return waits or self.status.startswith(("starting", "thinking", "tool"))

    @property
    def _is_read_by_person(self) -> bool:
        """Whether messages wait here until somebody reads them, as in a shell or the program of a `command`."""
        return self.profile.routes == ("inbox",)

    @property
    def asks_to_person(self) -> dict[str, str]:
        """The asks, id → asker, that wait for a person to read them here."""
        return self._mail.asks() if self._is_read_by_person else {}

    @property
    def has_exited(self) -> bool:
        """Whether its program is over."""
        return self.status.startswith("exited")

    def _is_just_dead(self, seen: SurfaceState | None) -> bool:
        """Whether its program has only now ended and the multiplexer may not know how yet."""
        if seen is None or not seen.is_dead or seen.exit_status is not None:
            self._dead_since = 0.0
            return False
        self._dead_since = self._dead_since or _now()
        return _now() - self._dead_since < EXIT_STATUS_S

    def observe(self, seen: SurfaceState | None, screen: str) -> None:
        """Take one look at the surface; None means that it is gone."""
        if self._is_just_dead(seen):
            return
        if seen is None:
            text = self._screen.text if self.has_exited else "exited:?"
        else:
            seen = with_terminal(self.profile, seen)
            self.exit_status = seen.exit_status
            self.was_ready = self.was_ready or not self.shows_readiness or detect.is_ready(self.profile, seen, screen)
            text = detect.detect(self.profile, seen, screen, was_ready=self.was_ready).text
        has_composer = self.profile.composer is None or detect.composer(self.profile, screen).kind != "absent"
        self._screen = follow(self._screen, text, _now(), is_sure=text != "idle" or has_composer)
        if self.profile.osc7501 and (news := self._osc7501.news()) is not None:
            self._report = succeed(self._report, news, _now(), names_tools=False) if news else None
        if self._is_native:
            self._native.observe(is_ready=self.was_ready and not self.has_exited, now=_now())
        self._restate()

    def announce(self, outlook: str) -> None:
        """Have the status say what becomes of a program that has ended, "" for nothing."""
        if outlook != self._outlook:
            self._outlook = outlook
            self._restate()

    def take_report(self, status: str) -> None:
        """Hear from the agent itself what it does from now on."""
        self._report = succeed(self._report, status, _now())
        self._restate()

    def _reported(self) -> str | None:
        """Return what the agent last said of itself, None when its screen has shown that to be over."""
        report = self._report
        return report.text if report is not None and is_believed(report, self._screen, _now()) else None

    def _restate(self) -> None:
        status = merge(self._screen, self._report, _now())
        if self._outlook and status.startswith("exited"):
            status = f"{status} · {self._outlook}"
        if status != self.status:
            self._idle_since = _now() if status == "idle" else None
            self.status = status
            self._record(status)
            self.endpoint.presence(status)
            self._mail.offer_again()
        if self._turn and self._idle_since is not None and _now() - self._idle_since >= REST_S:
            self._answers.settle(self._turn.rest(), None)

    def _record(self, status: str) -> None:
        status_log.note(self._team_id, self.state.name, status)

    def _on_turn_end(self, prompt: str, words: str) -> None:
        """Hear from a route of a turn that is over."""
        for parcel in self._mail.prove(prompt):
            self._turn_gets(parcel, is_proved=True)
        self._answers.settle(self._turn.end(), words)

    async def _capture(self) -> str:
        try:
            return await asyncio.to_thread(self._mux.capture, self.state.surface or "")
        except IntercomError:
            return ""

    # -- the agent's own client ------------------------------------------------------------------------------------

    def on_native(self, event: Json) -> None:
        """Hear of the agent's own client: it speaks for the agent while it is there."""
        if event["event"] == "native_left":
            self._native.left()
            self._report = None
            self._restate()
            return
        if event["event"] == "native_joined":
            self._native.joined()
            self.was_ready = True
        if status := event["status"].partition(" ")[0]:
            self.take_report(status)

    def keeps(self) -> list[str]:
        """Return what is being sent and must not be given to the agent's own client as well."""
        return self._native.registering()

    # -- hook calls ----------------------------------------------------------------------------------------------

    def on_hook(self, event: str, payload: Json | None) -> HookAnswer:
        """Take what an agent's hook call tells, and return what it shall print.

        Raises:
            OSError: The typing log cannot be written; nothing is given.
        """
        rules = self.profile.hooks
        if rules is None or (found := hook.read(rules, event, payload)) is None:
            return NOTHING
        meaning, told = found
        if told.prompt is not None and told.answer is None:
            self._turn.begin()
        proved = self._mail.prove(told.prompt) if told.prompt else []
        if proved:
            self._thread = hook.thread(payload) or self._thread
        for parcel in proved:
            self._turn_gets(parcel, is_proved=True)
        if not self._is_of_this_turn(told):
            return NOTHING
        if told.answer is not None:
            self._answers.settle(self._turn.end(), told.answer)
        chosen = hook.choose(self.profile, self._waiting_for(meaning, proved))
        given = [parcel for parcel, _ in chosen]
        self._mail.pick_up(given)
        begins_turn = meaning.gives == "block" and bool(given)
        if status := "thinking" if begins_turn else told.status:
            self.take_report(status)
        blocks = [*hook.bodies(self.profile, proved), *(text for _, text in chosen)] if meaning.gives else []

        def end(is_printed: bool) -> None:
            self._mail.put_down(given, is_given=is_printed)
            for parcel in given if is_printed else ():
                self._turn_gets(parcel, is_proved=True, is_typed=False)
            if begins_turn and not is_printed:
                self.take_report("idle")

        return HookAnswer(hook.rendered(rules.output, event, meaning.gives or "", blocks, given), end)

    def _turn_gets(self, parcel: Parcel, *, is_proved: bool, is_typed: bool = True) -> None:
        if parcel.kind == "ask":
            self._turn.give(parcel.message_id, is_proved=is_proved, is_typed=is_typed)

    def _on_handed(self, parcel: Parcel) -> None:
        self._turn_gets(parcel, is_proved=False)

    def _is_of_this_turn(self, told: hook.Told) -> bool:
        """Return False for an end that names its prompts and came late: it does not name all of the turn that runs."""
        if told.prompt is None or told.answer is None:
            return True
        return all(f"· ask {short_id(ask)}" in told.prompt for ask in self._turn.typed)

    def _waiting_for(self, meaning: HookEvent, proved: list[Parcel]) -> list[Parcel]:
        """Return what this event may give: in a turn that runs all that waits, to begin one only what may begin it."""
        waiting = self._mail.free(proved=proved)
        if meaning.gives == "context":
            return waiting if meaning.state in ("thinking", "tool") else []
        return waiting if meaning.gives == "block" and any(map(self._mail.may_start, waiting)) else []

    # -- messages ------------------------------------------------------------------------------------------------

    def on_message(self, sender: Json, message: Json) -> None:
        """Queue a message for delivery; one that was delivered before is only confirmed again."""
        self._mail.put(parcel_of(sender, message))

    def on_withdrawn(self, message_id: str) -> None:
        """Forget a message that is not to be delivered any more, unless it is being sent right now."""
        self._mail.withdraw(message_id)

    def _receipt(self, message_id: str, status: str, detail: str | None) -> None:
        self.endpoint.receipt(message_id, status, detail)


def _now() -> float:
    return time.monotonic()
