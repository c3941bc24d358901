"""The spawn decision rule: whether a peer is started, where, and why; pure.

The conditions are looked at in this order, and the first that decides ends it (docs/spawning.md has the same table):

| condition | asks | decides |
| --- | --- | --- |
| known | Is it a peer of the team already, with a session of its own? | yes: keep |
| fits | Is a session connected that can be this peer? | yes: reuse |
| long-lived | Is the work worth a long-lived, visible session? | no: refuse |
| codebase | Is it in the team's codebase, or a declared reference? | no: refuse |
| multiplexer | Can a terminal be opened for it? | yes: spawn, no: skip |
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intercom_mux.mux.choose import Backend

Json = dict[str, Any]

KEEP, REUSE, SPAWN, REFUSE, SKIP = "keep", "reuse", "spawn", "refuse", "skip"

QUESTION_CHARS = 300
"""Up to this length a prompt of one line that ends in a question mark is taken for one question."""


class Connected(NamedTuple):
    """A session as the broker lists it; `cwd` is a real path, `team_id` None outside every team.

    `is_caller`: it is that of the command itself.
    """

    id: str
    name: str
    cwd: str
    role: str | None = None
    team_id: str | None = None
    is_caller: bool = False


class Request(NamedTuple):
    """A peer that is wanted.

    Attributes:
        cwd: Real path of its directory.
        verb: `up`, or `spawn`, which is stricter about reuse and refuses short work.
        repository: Real path of the root of the repository that holds `cwd`, None outside any.
        is_reference: Whether its directory was declared as another codebase on purpose.
        is_one_shot: Whether the person said that the work is one-shot.
    """

    name: str
    role: str
    cwd: str
    verb: str = "up"
    prompt: str = ""
    repository: str | None = None
    is_reference: bool = False
    is_one_shot: bool = False


class Facts(NamedTuple):
    """What the decision depends on besides the request.

    Attributes:
        team: Id of the team.
        project: Real path of its project.
        repository: Root of the repository that holds the project, None outside any.
        own: Names of the team's peers that have a session of their own.
        reused: Name → session id of the team's peers that are reused sessions.
        sessions: Connected sessions of the team's scope, in order of registration.
        references: Real paths of directories that the layout declares as references.
        mux: What the layout asks for, "auto" for the first usable.
        backends: In order of preference.
    """

    team: str
    project: str
    sessions: tuple[Connected, ...] = ()
    backends: tuple[Backend, ...] = ()
    own: frozenset[str] = frozenset()
    reused: tuple[tuple[str, str], ...] = ()
    references: frozenset[str] = frozenset()
    repository: str | None = None
    mux: str = "auto"


class Reason(NamedTuple):
    """One condition, whether it holds, and the fact behind it."""

    condition: str
    holds: bool
    why: str


class Decision(NamedTuple):
    """What is to be done about one peer.

    `verdict` is keep, reuse, spawn, refuse or skip; `backend` is named for spawn only, `session` for reuse only;
    `advice` says what to do instead, "" when there is nothing to say.
    """

    peer: str
    verdict: str
    reasons: tuple[Reason, ...]
    backend: str | None = None
    session: str | None = None
    advice: str = ""

    def to_json(self) -> Json:
        """Return it as JSON-ready data."""
        reasons = [{"condition": r.condition, "holds": r.holds, "why": r.why} for r in self.reasons]
        return {
            "peer": self.peer,
            "verdict": self.verdict,
            "backend": self.backend,
            "session": self.session,
            "reasons": reasons,
            "advice": self.advice,
        }


def decide_all(requests: Sequence[Request], facts: Facts) -> tuple[Decision, ...]:
    """Decide about each request in order; a session that fills one peer is not there for the next."""
    decisions = []
    for request in requests:
        decision = decide(request, facts)
        decisions.append(decision)
        facts = facts._replace(sessions=tuple(s for s in facts.sessions if s.id != decision.session))
    return tuple(decisions)


def decide(request: Request, facts: Facts) -> Decision:
    """Return what is to be done about one peer, with every condition that was looked at."""
    reasons: list[Reason] = []

    def holds(condition: str, is_so: bool, why: str) -> bool:
        reasons.append(Reason(condition, is_so, why))
        return is_so

    def decided(verdict: str, **more: str | None) -> Decision:
        return Decision(request.name, verdict, tuple(reasons), **more)  # type: ignore[arg-type]  # str-only fields

    is_known = request.name in facts.own
    if holds("known", is_known, "the team has it already" if is_known else "the team has no such peer of its own"):
        return decided(KEEP)
    fitting = _fitting(request, facts)
    if holds("fits", fitting is not None, _why_fits(request, facts, fitting)):
        return decided(REUSE, session=fitting.id if fitting else None)
    short = _short_work(request)
    if not holds("long-lived", short is None, short or "nothing says that it is one question or one-shot work"):
        whom = _could_serve(request, facts)
        to = whom[0] if whom else "NAME"
        return decided(REFUSE, advice=f'ask who is there: `intercom-mux ask {to} "…"`, or tell by `intercom-mux send`')
    is_here, where = _codebase(request, facts)
    if not holds("codebase", is_here, where):
        declare = f"`--reference {request.cwd}`" if request.verb == "spawn" else f"`reference: {request.cwd}`"
        return decided(REFUSE, advice=f"if it is meant, declare it: {declare} instead of its cwd")
    backend, found = _backend(facts)
    if holds("multiplexer", backend is not None, found):
        return decided(SPAWN, backend=backend)
    whom = _could_serve(request, facts)
    serve = f"connected sessions that could serve: {', '.join(whom)}" if whom else "no connected session could serve"
    return decided(SKIP, advice=serve)


def one_question(prompt: str) -> bool:
    """Whether a prompt is one question: one line, at most `QUESTION_CHARS` characters, its only `?` at the end."""
    text = prompt.strip()
    return text.endswith("?") and text.count("?") == 1 and "\n" not in text and len(text) <= QUESTION_CHARS


def _fitting(request: Request, facts: Facts) -> Connected | None:
    """Return the session to reuse: that which is this peer already, else the first that fits."""
    present = dict(facts.reused).get(request.name)
    for session in facts.sessions:
        if session.id == present and session.team_id == facts.team:
            return session
    for session in facts.sessions:
        is_free = session.team_id is None and session.id not in dict(facts.reused).values()
        is_same = session.name == request.name and session.cwd == request.cwd
        if is_free and is_same and (request.verb == "up" or session.role == request.role):
            return session
    return None


def _why_fits(request: Request, facts: Facts, fitting: Connected | None) -> str:
    if fitting is not None:
        return f"session {fitting.id} is called {fitting.name}, works in {fitting.cwd} and is in no other team"
    wanted = f"called {request.name} in {request.cwd}"
    wanted += f" with role {request.role}" if request.verb == "spawn" else ""
    namesakes = [s for s in facts.sessions if s.name == request.name]
    for session in namesakes:
        if session.team_id is not None:
            return f"session {session.id} has that name, but belongs to a team"
        if session.cwd != request.cwd:
            return f"session {session.id} has that name, but works in {session.cwd}"
        return f"session {session.id} has that name, but its role is {session.role or 'none'}"
    return f"no free session is connected that is {wanted}"


def _short_work(request: Request) -> str | None:
    if request.is_one_shot:
        return "it was called one-shot"
    if request.verb == "spawn" and one_question(request.prompt):
        return "its prompt is one question"
    return None


def _codebase(request: Request, facts: Facts) -> tuple[bool, str]:
    if request.is_reference or request.cwd in facts.references:
        return True, f"{request.cwd} is declared as a reference"
    if PurePath(request.cwd).is_relative_to(facts.project):
        return True, f"{request.cwd} is in the project"
    if request.repository is None:
        return True, f"{request.cwd} is in no other repository"
    if request.repository == facts.repository:
        return True, f"{request.cwd} is in the project's repository"
    return False, f"{request.cwd} is in another repository, {request.repository}"


def _backend(facts: Facts) -> tuple[str | None, str]:
    """Return the multiplexer to use, or None, and why."""
    asked = [b for b in facts.backends if facts.mux in ("auto", b.name)]
    for backend in asked:
        if backend.is_usable:
            return backend.name, backend.why
    told = "; ".join(f"{b.name}: {b.why}" for b in asked)
    return None, told or f"{facts.mux} is not to be had here"


def _could_serve(request: Request, facts: Facts) -> list[str]:
    """Return the names of the others that could do the work, best first: same directory, then same role."""
    others = [s for s in facts.sessions if s.name and not s.is_caller]
    able = [s for s in others if s.cwd == request.cwd or s.role == request.role]
    return [s.name for s in sorted(able, key=lambda s: (s.cwd != request.cwd, s.role != request.role))]
