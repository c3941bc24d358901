"""The file channel on a real file system: what counts as a request, and that one is answered once."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import pytest

from intercom_mux._fastpath import caller
from intercom_mux.errors import DeliveryError
from intercom_mux.supervise import file_channel
from tests.supervise.child import channels, put, request

if TYPE_CHECKING:
    from pathlib import Path

SOON = 2_000_000_000_000.0


def waiting() -> list[str]:
    """Return the ids of the requests that wait."""
    return [one.request.id for one in file_channel.waiting(request()["createdAt"])]


def test_nothing_is_there() -> None:
    """No directory, an empty channel, a channel without requests."""
    assert waiting() == []
    assert not caller.has_child_requests()
    (channels() / "a").mkdir(parents=True, mode=0o700)
    assert waiting() == []
    put(channels() / "a", request(id="one"))
    assert waiting() == ["one"]
    assert caller.has_child_requests()


def test_requests_of_all_channels_come_oldest_first() -> None:
    """Over ones and answered ones are left out."""
    put(channels() / "a", request(id="late", createdAt=2000))
    put(channels() / "b", request(id="early", createdAt=1000))
    put(channels() / "b", request(id="over", createdAt=1000, expiresAt=2000))
    put(channels() / "b", request(id="done"))
    (channels() / "b" / "replies" / "done.json").write_text("{}")
    assert waiting() == ["early", "late"]


def test_what_is_not_ours_alone_is_refused(tmp_path: Path) -> None:
    """Symbolic links, directories and files that others may write, what is no plain file, what is too large."""
    file = put(channels() / "a", request(id="one"))
    away = tmp_path / "away.json"
    file.rename(away)
    file.symlink_to(away)
    os.mkfifo(file.with_name("pipe.json"))
    file.with_name("directory.json").mkdir()
    put(channels() / "a", request(id="large", message="x" * 65_536))
    assert waiting() == []
    put(channels() / "a", request(id="two")).chmod(0o666)
    assert waiting() == []
    put(channels() / "a", request(id="two"))
    assert waiting() == ["two"]
    for directory in (channels() / "a" / "requests", channels() / "a", channels(), channels().parent):
        directory.chmod(0o777)
        assert waiting() == []
        directory.chmod(0o700)
    channels().rename(tmp_path / "channels")
    channels().symlink_to(tmp_path / "channels")
    assert waiting() == []


def test_the_directory_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes the well-known name first gains nothing."""
    put(channels() / "a", request(id="one"))
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    assert waiting() == []


def test_half_a_file_is_seen_when_it_is_whole() -> None:
    """It is looked at anew each time."""
    value = request(id="one")
    data = json.dumps(value).encode()
    put(channels() / "a", data[:50], "one.json")
    assert waiting() == []
    put(channels() / "a", data, "one.json")
    assert waiting() == ["one"]


@pytest.mark.parametrize("name", ["../../x.json", ".hidden.json", "one.tmp", "a b.json"])
def test_odd_names_are_passed_over(name: str) -> None:
    """Temporary files among them."""
    put(channels() / "a", json.dumps(request(id=name.removesuffix(".json"))).encode(), name)
    assert waiting() == []


def test_a_request_is_answered_once_by_many() -> None:
    """Of eight answerers at a time one succeeds, its reply stands there whole, and nothing else is left."""
    put(channels() / "a", request(id="one"))
    (one,) = file_channel.waiting(request()["createdAt"])
    gate, outcomes = threading.Barrier(8), []

    def answer(number: int) -> None:
        gate.wait()
        try:
            file_channel.reply(one, f"answer {number} " * 500, (), SOON)
            outcomes.append(str(number))
        except DeliveryError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    (winner,) = (outcome for outcome in outcomes if outcome.isdigit())
    assert outcomes.count("E_ASK_ENDED") == 7
    (left,) = (channels() / "a" / "replies").iterdir()
    assert (left.name, left.stat().st_mode & 0o777) == ("one.json", 0o600)
    assert json.loads(left.read_text())["message"] == f"answer {winner} " * 500
    assert waiting() == []


def test_a_child_that_took_its_request_back_is_not_answered() -> None:
    """Its request, or its whole channel, is gone."""
    file = put(channels() / "a", request(id="one"))
    (one,) = file_channel.waiting(request()["createdAt"])
    file.unlink()
    with pytest.raises(DeliveryError, match="request one of subagent-scout-run1-1 has been taken back"):
        file_channel.reply(one, "left", (), SOON)
    assert not list((channels() / "a" / "replies").iterdir())


def test_a_reply_is_not_written_through_a_link(tmp_path: Path) -> None:
    """Not where the link points, and the error says where to look."""
    put(channels() / "a", request(id="one"))
    (one,) = file_channel.waiting(request()["createdAt"])
    (channels() / "a" / "replies").rmdir()
    (channels() / "a" / "replies").symlink_to(tmp_path)
    with pytest.raises(DeliveryError) as caught:
        file_channel.reply(one, "left", (), SOON)
    assert (caught.value.code, caught.value.hint) == ("E_DELIVERY_FAILED", f"see {channels() / 'a'}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("variables", "base"), [({"TMPDIR": "/t/"}, "/t"), ({"TMP": "/u"}, "/u"), ({}, "/tmp")])
def test_where_the_channels_are(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], base: str) -> None:
    """Below node's temporary directory, unless a variable says where."""
    assert file_channel.root() == str(channels())
    for name in ("PI_SUBAGENTS_TEMP_ROOT", "TMPDIR", "TMP", "TEMP"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert file_channel.root() == f"{base}/pi-subagents-uid-{os.getuid()}/supervisor-channels"
