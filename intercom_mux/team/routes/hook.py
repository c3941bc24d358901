"""The hook route: the agent's own hook calls fetch what waits, at the points where it is safe to be told.

While the agent works, a message waits for its next event that can give it. An idle agent calls nothing, so it is woken
by the next route, which types one line or the whole message; the event of the submitted prompt then proves by the
message's id that the agent has it, and gives the body that was not typed.

Messages never merge: each is a block of its own behind its header line. What stands in the composer, or is being typed,
is never given. What was given counts only when the call has printed it; until then it waits, and comes again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from intercom_mux.team.routes.base import Outcome, Route
from intercom_mux.team.routes.wording import block, is_body_elsewhere, one_word, short_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intercom_mux.agents.profile import HookEvent, HookRules, Profile
    from intercom_mux.team.routes.base import Parcel, Target

Json = dict[str, Any]

OURS = "[intercom] from "
OUTPUT_MAX_CHARACTERS = 9_000
"""Most that one event is given, unless a message is longer and cannot be read elsewhere; claude cuts at 10,000."""


class HookRoute(Route):
    """Holds messages for the agent's next call while it works; leaves an idle agent to the next route."""

    def __init__(self, target: Target) -> None:
        self._target = target
        rules = target.profile.hooks
        self._can_give = rules is not None and any(event.gives for event in rules.events.values())

    async def deliver(self, parcel: Parcel) -> Outcome | None:  # noqa: ARG002 - all messages alike
        """Hold what the agent will fetch; None while it does not work, for then it calls nothing."""
        reported = self._target.reported()
        if self._can_give and reported is not None and reported.startswith(("thinking", "tool")):
            return Outcome("held", reported)
        return None


class Told(NamedTuple):
    """What one hook event tells: a status, the prompt that was submitted, the last words of the turn that ended.

    `answer` is "" when the turn ended without any.
    """

    status: str | None = None
    prompt: str | None = None
    answer: str | None = None


def read(rules: HookRules, event: str, payload: Json | None) -> tuple[HookEvent, Told] | None:
    """Return what an event means and tells; None when it is none of the profile's. Payloads of any shape are taken."""
    meaning = rules.events.get(event)
    facts = payload or {}
    if meaning is None or any(facts.get(key) != value for key, value in meaning.when.items()):
        return None
    status = meaning.state
    if status in ("tool", "blocked") and meaning.what:
        status += f":{one_word(facts.get(meaning.what, meaning.what))}"
    prompt = facts.get(meaning.prompt) if meaning.prompt else None
    if isinstance(prompt, list) and _is_about_a_message(prompt):
        return None
    answer = facts.get(meaning.answer) if meaning.answer else None
    return meaning, Told(
        status,
        prompt if isinstance(prompt, str) else _joined(prompt),
        (answer if isinstance(answer, str) else "") if meaning.answer else None,
    )


def thread(payload: Json | None) -> str | None:
    """Return the agent's id of the conversation that an event belongs to."""
    named = (payload or {}).get("thread-id") or (payload or {}).get("session_id")
    return named if isinstance(named, str) else None


def _is_about_a_message(prompts: list[Any]) -> bool:
    """Return whether one of our messages is only quoted: codex finds a title for it in a turn of its own."""
    texts = [text for text in prompts if isinstance(text, str) and OURS in text]
    return bool(texts) and not any(text.startswith(OURS) for text in texts)


def _joined(value: object) -> str | None:
    return "\n".join(map(str, value)) if isinstance(value, list) else None


def choose(profile: Profile, waiting: Sequence[Parcel]) -> list[tuple[Parcel, str]]:
    """Return the first of what waits, with the text of each, as much as one event may be given; at least one."""
    chosen: list[tuple[Parcel, str]] = []
    size = 0
    for parcel in waiting:
        limit = OUTPUT_MAX_CHARACTERS if profile.paste.can_run_commands else None
        text = block(profile, parcel, limit=limit)
        size += len(text) + 2
        if chosen and size > OUTPUT_MAX_CHARACTERS:
            break
        chosen.append((parcel, text))
    return chosen


def bodies(profile: Profile, proved: Sequence[Parcel]) -> list[str]:
    """Return the blocks of messages that were submitted without their body."""
    limit = OUTPUT_MAX_CHARACTERS // max(1, len(proved))
    return [block(profile, parcel, limit=limit) for parcel in proved if is_body_elsewhere(profile, parcel)]


def rendered(output: str, event: str, gives: str, blocks: Sequence[str], given: Sequence[Parcel] = ()) -> str:
    """Return what the hook call prints, "" for nothing; `output` is the agent's dialect.

    Claude shows its model the reason of a block twice, as feedback and as error, so there it only names what was
    given, and where to read it should a version leave the context out.
    """
    if not blocks:
        return ""
    text = "\n\n".join(blocks)
    context = {"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}}
    if gives != "block":
        return json.dumps(context)
    if output != "claude":
        return json.dumps({"decision": "block", "reason": text})
    ids = ", ".join(short_id(parcel.message_id) for parcel in given)
    reason = f"New intercom messages: {ids}. What is not shown here is read with: intercom-mux inbox ID"
    return json.dumps({"decision": "block", "reason": reason, **context})
