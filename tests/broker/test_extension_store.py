"""The files of shared extension state, and the spelling of what is hashed."""

from __future__ import annotations

import json
import stat
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_mux import paths
from intercom_mux.broker import lifecycle
from intercom_mux.broker.core import js_json
from intercom_mux.broker.core.extensions import SharedState
from intercom_mux.broker.core.model import SaveState
from intercom_mux.broker.extension_store import ExtensionStore
from tests.broker.live import Line, kill_broker, start

if TYPE_CHECKING:
    from pathlib import Path

NAME = sha256(b"acme/notes").hexdigest() + ".json"


def order(revision: int, payload: bytes) -> SaveState:
    return SaveState(1, "", "acme/notes", "acme/notes", revision, payload, 1_700_000_000_000)


@pytest.fixture
def store(tmp_path: Path) -> ExtensionStore:
    return ExtensionStore(tmp_path / "states")


def test_a_state_is_kept_in_its_envelope(store: ExtensionStore, tmp_path: Path) -> None:
    """Private, named by the hash of the namespace, with the hash of the payload."""
    assert store.load() == {}
    payload = js_json.dump({"b": 1.0, "a": "é"})
    store.save(order(1, payload))
    file = tmp_path / "states" / NAME
    assert json.loads(file.read_bytes()) == {
        "formatVersion": 1,
        "namespace": "acme/notes",
        "revision": 1,
        "updatedAt": 1_700_000_000_000,
        "payloadSha256": sha256('{"b":1,"a":"é"}'.encode()).hexdigest(),
        "payload": {"b": 1, "a": "é"},
    }
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    assert store.load() == {"acme/notes": SharedState(1, payload)}


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", None], ids=repr)
def test_what_cannot_be_read_is_taken_from_the_backup(
    store: ExtensionStore, tmp_path: Path, damage: bytes | None
) -> None:
    """Also when the file is gone; a broken one never becomes the backup."""
    store.save(order(1, b"1"))
    store.save(order(2, b"2"))
    file = tmp_path / "states" / NAME
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    assert store.load() == {"acme/notes": SharedState(1, b"1")}
    store.save(order(2, b"3"))
    assert store.load() == {"acme/notes": SharedState(2, b"3")}
    assert file.with_name(NAME + ".bak").read_bytes().endswith(b'"payload":1}')
    assert not list(file.parent.glob("*.tmp*"))


@pytest.mark.parametrize(
    "change", [{"payload": 7}, {"revision": 0}, {"formatVersion": 2}, {"namespace": "other"}], ids=repr
)
def test_what_was_tampered_with_does_not_count(
    store: ExtensionStore, tmp_path: Path, change: dict[str, object]
) -> None:
    """Hash, revision, version and name must fit."""
    store.save(order(1, b"1"))
    file = tmp_path / "states" / NAME
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **change}))
    assert store.load() == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (-0.0, "0"), (0.1, "0.1"), (1e21, "1e+21"), (1e20, "100000000000000000000"), (1e-6, "0.000001"),
        (1e-7, "1e-7"), (1.5e-9, "1.5e-9"), (123456789.25, "123456789.25"), (-2.5e30, "-2.5e+30"),
        (2**53 + 1, "9007199254740992"), (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
        (10**30, "1e+30"), (1e16, "10000000000000000"),
    ],
)  # fmt: skip
def test_numbers_are_spelled_as_javascript_does(value: float, text: str) -> None:
    """As node prints them."""
    assert js_json.dump(value).decode() == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself(value: float) -> None:
    """Whatever its layout."""
    assert float(js_json.number(value)) == value


def test_keys_are_ordered_as_javascript_does() -> None:
    """Array indices first, by value; the others as they came."""
    value = {"b": 1, "10": 2, "a": [True, None, "\n"], "2": {}, "01": 3, "4294967295": 4, "-1": 5}
    text = '{"2":{},"10":2,"b":1,"a":[true,null,"\\n"],"01":3,"4294967295":4,"-1":5}'
    assert js_json.dump(value).decode() == text


def test_a_number_beyond_a_double_is_refused() -> None:
    """JavaScript would make it `null`."""
    with pytest.raises(ValueError, match="beyond"):
        js_json.dump([10**400])


def test_a_committed_state_outlives_a_killed_broker() -> None:
    """Over a real socket; and a store that cannot be written is told to the committer, not to the others."""

    def joined() -> tuple[Line, str]:
        line = Line().register("id-1", "keeper")
        line.post(type="extension_capabilities_update", extensions=[{"namespace": "acme/notes", "ownerEligible": True}])
        return line, str(line.until("extension_owner")["ownerEpoch"])

    def commit(line: Line, epoch: str, expected: int) -> dict[str, object]:
        frame = {
            "namespace": "acme/notes",
            "ownerEpoch": epoch,
            "expectedRevision": expected,
            "payload": {"n": expected},
        }
        return line.post(type="extension_state_commit", **frame).until("extension_state_result")

    start()
    line, epoch = joined()
    with line:
        assert commit(line, epoch, 0)["committed"] is True
    kill_broker()
    start()
    line, epoch = joined()
    with line:
        state = line.until("extension_state")
        assert (state["revision"], state["payload"]) == (1, {"n": 0})
        directory = paths.state_dir() / "extension-state"
        directory.rename(directory.with_name("away"))
        directory.write_text("in the way")
        assert commit(line, epoch, 1)["reason"] == "Failed to persist extension state"
        directory.unlink()
        directory.with_name("away").rename(directory)
        assert commit(line, epoch, 1)["revision"] == 2
    lifecycle.stop()
