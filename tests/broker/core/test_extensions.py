"""The extension bus: capabilities, owners, publishing, state by compare-and-swap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.broker.core.bench import Bench, Json, Wire

NS = "acme/notes"


def extension(namespace: str = NS, *, owner: bool = True) -> Json:
    return {"namespace": namespace, "ownerEligible": owner}


def join(bench: Bench, name: str, *, owner: bool = True, **more: Any) -> Wire:
    """Register a session that has the namespace; its frames after `registered` wait."""
    return bench.pi(name, session={"extensions": [extension(owner=owner)]}, **more)


def epoch(wire: Wire) -> str:
    """Return the epoch that the wire was told last."""
    return str(wire.take("extension_owner")[-1]["ownerEpoch"])


def commit(wire: Wire, owner_epoch: str, expected: Any = 0, **more: Any) -> Json:
    frame = {"namespace": NS, "ownerEpoch": owner_epoch, "expectedRevision": expected, "payload": {"n": 1}, **more}
    return wire.post(type="extension_state_commit", **frame).one("extension_state_result")


def publish(wire: Wire, **more: Any) -> Wire:
    return wire.post(**{"type": "extension_publish", "namespace": NS, "audience": "capable", "payload": 1, **more})


def test_the_first_that_may_is_the_owner_until_it_leaves(bench: Bench) -> None:
    """By order of registration; every change brings a new epoch and is told to all that have the namespace."""
    watcher = join(bench, "watcher", owner=False)
    assert watcher.take("extension_owner") == [{"type": "extension_owner", "namespace": NS}]
    first, second = join(bench, "first"), join(bench, "second")
    (told,) = watcher.take("extension_owner")
    assert told["ownerId"] == "id-first"
    assert [f["ownerId"] for f in first.take("extension_owner")] == ["id-first", "id-first"]
    assert [f["ownerId"] for f in second.take("extension_owner")] == ["id-first"]
    first.close()
    (then,) = watcher.take("extension_owner")
    assert then["ownerId"] == "id-second"
    assert then["ownerEpoch"] != told["ownerEpoch"]
    second.post(type="unregister")
    assert watcher.take("extension_owner") == [{"type": "extension_owner", "namespace": NS}]


def test_who_comes_back_stands_in_line_again_and_a_takeover_does_not(bench: Bench) -> None:
    """The order is that of registration; a takeover keeps it and still changes the epoch."""
    first, second = join(bench, "first"), join(bench, "second")
    before = epoch(second)
    join(bench, "first")
    (told,) = second.take("extension_owner")
    assert (told["ownerId"], told["ownerEpoch"] == before) == ("id-first", False)
    assert first.is_closed
    bench.wires[max(bench.wires)].close()
    join(bench, "first")
    assert second.take("extension_owner")[-1]["ownerId"] == "id-second"


def test_the_frames_of_a_registration_come_in_order(bench: Bench) -> None:
    """`registered`, owner changes, what waited, then the own owner and state."""
    planner = bench.pi("planner")
    owner = join(bench, "owner")
    commit(owner, epoch(owner))
    owner.close()
    planner.send("owner")
    frames = bench.register("id-owner", "owner", session={"extensions": [extension()]}).frames
    kinds = ["registered", "extension_owner", "message", "extension_owner", "extension_state"]
    assert [frame["type"] for frame in frames] == kinds
    assert frames[-1] == {"type": "extension_state", "namespace": NS, "revision": 1, "payload": {"n": 1}}


def test_an_update_replaces_the_list(bench: Bench) -> None:
    """What is gone is given up, what is new is answered with its owner."""
    owner, other = join(bench, "owner"), join(bench, "other")
    other.take()
    owner.take()
    owner.post(type="extension_capabilities_update", extensions=[extension("b")])
    assert [f["namespace"] for f in owner.take("extension_owner")] == ["b", "b"]
    assert other.one("extension_owner")["ownerId"] == "id-other"
    assert other.post(type="extension_capabilities_update", extensions=[{}]).is_closed


@pytest.mark.parametrize(
    "extensions",
    [
        None,
        {},
        ["x"],
        [{"namespace": "a"}],
        [extension("")],
        [extension("A")],
        [extension("a" * 65)],
        [extension()] * 33,
    ],
    ids=repr,
)
def test_a_bad_list_is_no_registration(bench: Bench, extensions: Any) -> None:
    """And it does not evict the holder of the id."""
    holder = bench.pi("planner")
    bad = bench.register("id-planner", "planner", session={"extensions": extensions})
    assert (bad.is_closed, bad.frames, holder.is_closed) == (True, [], False)


def test_publishing_reaches_all_that_have_the_namespace_or_the_owner(bench: Bench) -> None:
    """The sender included; not those without it, nor another scope."""
    plain, far = bench.pi("plain"), join(bench, "far", scopeId="s")
    owner, other = join(bench, "owner"), join(bench, "other")
    now = epoch(other)
    publish(other, payload={"x": 1})
    message = {"type": "extension_message", "namespace": NS, "fromSessionId": "id-other", "payload": {"x": 1}}
    message |= {"ownerId": "id-owner", "ownerEpoch": now}
    assert owner.one("extension_message") == other.one("extension_message") == message
    publish(other, audience="owner")
    assert len(owner.take("extension_message")) == 1
    publish(owner, ownerOnly=True, ownerEpoch=now)
    assert len(other.take("extension_message")) == 1
    assert other.take("error") + plain.take("extension_message") + far.take("extension_message") == []


def test_publishing_is_refused_in_the_words_and_order_of_v1(bench: Bench) -> None:
    """Each of these frames has every fault of those after it."""
    plain, other = bench.pi("plain"), join(bench, "other", owner=False)
    join(bench, "elsewhere", scopeId="s")

    def error(wire: Wire, **frame: Any) -> str:
        return str(publish(wire, **frame).one("error")["error"])

    big = "x" * 16_383
    assert error(plain, namespace="A") == "Session has not advertised extension capability"
    assert error(other, namespace="A", audience="x") == "Invalid namespace"
    assert error(other, namespace="b", audience="x", payload=big) == "Invalid audience"
    too_big = "Invalid extension payload or payload exceeds 16 KiB limit"
    assert error(other, namespace="b", payload=big) == too_big
    assert error(other, namespace="b", audience="owner") == "Sender does not have capability for this namespace"
    assert error(other, audience="owner") == "No owner for this namespace"
    assert error(other, ownerOnly=True) == "No owner for this namespace"
    owner = join(bench, "owner")
    assert error(owner, ownerOnly=True) == "ownerEpoch required for owner-only messages"
    assert error(owner, ownerOnly=True, ownerEpoch="old") == "Owner validation failed"
    assert error(other, ownerOnly=True, ownerEpoch=epoch(owner)) == "Owner validation failed"
    assert publish(other, payload="x" * 16_382).take("error") == []


def test_a_handle_has_no_extensions(bench: Bench) -> None:
    """It is not the endpoint of its session."""
    bench.peer("worker-1")
    handle = bench.handle("worker-1")
    assert publish(handle).one("error")["error"] == "Session not found"
    assert commit(handle, "e")["reason"] == "Session not found"
    assert handle.post(type="extension_capabilities_update", extensions=[]).is_closed


def test_a_commit_is_answered_and_told_to_all(bench: Bench) -> None:
    """The result first, then the state to everybody with the namespace, the committer included."""
    owner, other = join(bench, "owner"), join(bench, "other")
    owner_epoch = epoch(owner)
    answer = {"type": "extension_state_result", "namespace": NS, "committed": True, "revision": 1}
    assert commit(owner, owner_epoch) == answer
    state = {"type": "extension_state", "namespace": NS, "revision": 1, "payload": {"n": 1}}
    assert owner.one("extension_state") == other.one("extension_state") == state
    assert commit(owner, owner_epoch, 1)["revision"] == 2
    assert bench.saves[-1].revision == 2


def test_a_commit_is_refused_in_the_words_and_order_of_v1(bench: Bench) -> None:
    """With the present revision, from the fourth check on."""
    plain, other = bench.pi("plain"), join(bench, "other", owner=False)

    def reason(wire: Wire, *arguments: Any, **more: Any) -> tuple[str, int]:
        answer = commit(wire, *arguments, **more)
        return answer["reason"], answer["revision"]

    assert reason(plain, 1, namespace="A") == ("Session has not advertised extension capability", 0)
    assert reason(other, 1, namespace="A") == ("Invalid namespace", 0)
    assert reason(other, 1, -1, namespace="b") == ("Invalid ownerEpoch", 0)
    big = "x" * 65_535
    for expected in (-1, 2**53, 1.5, True, "0"):
        assert reason(other, "e", expected, payload=big) == ("Invalid expectedRevision", 0)
    assert reason(other, "e", payload=big)[0] == "Invalid extension state or payload exceeds 64 KiB limit"
    assert reason(other, "e", namespace="b")[0] == "Sender does not have capability for this namespace"
    assert reason(other, "e")[0] == "No owner for this namespace"
    owner = join(bench, "owner")
    owner_epoch = epoch(owner)
    commit(owner, owner_epoch)
    assert reason(owner, "old") == ("Owner validation failed", 1)
    assert reason(other, owner_epoch, 1) == ("Owner validation failed", 1)
    assert reason(owner, owner_epoch, 0) == ("Revision mismatch", 1)
    bench.keeps_state = False
    owner.take()
    assert reason(owner, owner_epoch, 1) == ("Failed to persist extension state", 1)
    assert owner.take("extension_state") == []


def test_scopes_have_owners_and_states_of_their_own(bench: Bench) -> None:
    """And the store does not learn the scope's name."""
    here, there = join(bench, "here"), join(bench, "there", scopeId="secret-scope")
    commit(here, epoch(here))
    assert commit(there, epoch(there))["revision"] == 1
    first, second = (order.key for order in bench.saves)
    assert first == NS
    assert second.startswith('["scope","')
    assert "secret" not in second
