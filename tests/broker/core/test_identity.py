"""Mailbox identity: mail finds a foreign session that came back under another id, and nobody else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from intercom_mux.broker.core.core import Core

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.core.bench import Bench, Json


def test_mail_waits_for_the_same_name_in_the_same_directory(bench: Bench) -> None:
    """In order, with what was written but not confirmed first; the name's case does not matter."""
    planner, worker = bench.pi("planner"), bench.pi("worker", "first")
    planner.send("worker", "a")
    worker.close()
    planner.send("worker", "b")
    successor = bench.pi("Worker", "second")
    assert successor.texts() == ["a", "b"]
    assert bench.mailbox("first") == []


def test_it_survives_a_crash(bench: Bench) -> None:
    """The journal knows where the mail went; a resend is still the same message."""
    planner = bench.pi("planner")
    bench.pi("worker", "first").close()
    answer = planner.send("worker", "a", id="m1")
    assert answer["delivery"] == "queued"
    bench.pi("worker", "second").close()
    bench.crash()
    heir = bench.pi("worker", "second")
    assert heir.texts() == ["a"]
    assert bench.pi("planner").send("worker", "a", id="m1")["type"] == "delivered"
    assert heir.texts() == []


def test_a_message_to_the_lost_id_goes_to_the_only_successor(bench: Bench) -> None:
    """At the time of sending, too: `socket_delivered`, and the resend is answered alike."""
    planner = bench.pi("planner")
    bench.pi("worker", "first").close()
    heir = bench.pi("worker", "second")
    first = planner.send("first", id="m1")
    assert first["delivery"] == "socket_delivered"
    assert planner.send("first", id="m1") == first
    assert heir.texts() == ["hello"]


@pytest.mark.parametrize(
    ("name", "session"),
    [("worker", {"cwd": "/other"}), ("other", {}), ("worker", {"runtimeFallbackAlias": True}), (None, {})],
    ids=["other directory", "other name", "an alias made of its id", "no name"],
)
def test_another_identity_gets_nothing(bench: Bench, name: str | None, session: Json) -> None:
    """Neither what waits nor what is sent now."""
    planner = bench.pi("planner")
    bench.pi("worker", "first").close()
    planner.send("first", "before")
    stranger = bench.register("second", name, session=session)
    assert planner.send("first", "after")["delivery"] == "queued"
    assert stranger.texts() == []
    assert len(bench.mailbox("first")) == 2


def test_two_of_one_identity_get_nothing(bench: Bench) -> None:
    """Which of them is meant cannot be told."""
    planner = bench.pi("planner")
    bench.pi("worker", "first").close()
    bench.pi("worker", "second"), bench.pi("worker", "third")
    assert planner.send("first")["delivery"] == "queued"
    assert bench.pi("worker", "fourth").texts() == []


def test_nobody_gets_its_own_mail_back(bench: Bench) -> None:
    """What one of an identity wrote to another of it stays where it was sent."""
    bench.pi("worker", "first").close()
    twin = bench.pi("worker", "second")
    assert twin.send("first")["delivery"] == "queued"
    twin.close()
    assert bench.pi("worker", "third").texts() == []


def test_a_question_stays_with_whom_it_asked(bench: Bench) -> None:
    """Only that id can answer."""
    planner, worker = bench.pi("planner"), bench.pi("worker", "first")
    planner.ask("worker", id="q1")
    worker.close()
    assert bench.pi("worker", "second").texts() == []
    assert bench.mailbox("first") == ["q1"]


def test_a_reply_reaches_the_successor_of_its_asker(bench: Bench) -> None:
    """The ask is answered by it."""
    planner, worker = bench.pi("planner", "first"), bench.pi("worker")
    planner.ask("worker", id="q1")
    planner.close()
    heir = bench.pi("planner", "second")
    assert worker.send("first", "this way", replyTo="q1")["delivery"] == "socket_delivered"
    assert heir.texts() == ["this way"]
    assert not bench.core.state.asks


def test_team_peers_neither_give_nor_take(bench: Bench) -> None:
    """A session outside the team never receives its mail, whatever it calls itself."""
    planner = bench.pi("planner")
    bench.peer("worker-1").close()
    planner.send("blue-worker-1", "for the peer")
    stranger = bench.pi("worker-1", "id-x")
    assert planner.send("blue-worker-1", "again")["delivery"] == "queued"
    assert stranger.texts() == []
    stranger.close()
    planner.send("id-x", "for the stranger")
    assert bench.peer("worker-1").texts() == ["for the peer", "again"]


def test_scopes_are_apart(bench: Bench) -> None:
    """The same name and directory in another scope is somebody else."""
    planner = bench.pi("planner")
    bench.pi("worker", "first").close()
    planner.send("first")
    assert bench.pi("worker", "second", scopeId="s").texts() == []


def test_a_symbolic_link_is_the_directory_it_leads_to(bench: Bench, tmp_path: Path) -> None:
    """As the server configures the core: real paths are compared."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    bench.core = Core(bench.limits, real_dir=os.path.realpath)
    planner = bench.pi("planner")
    bench.pi("worker", "first", session={"cwd": str(real)}).close()
    planner.send("first")
    assert bench.pi("worker", "second", session={"cwd": str(link)}).texts() == ["hello"]
