"""The state that extensions share, one file per namespace beside the journal; read at the start, written per commit.

A file holds the envelope of v1: formatVersion, namespace, revision, updatedAt, payloadSha256, payload. The version
before it stays as `.bak` and serves when the file cannot be read.
"""

from __future__ import annotations

import contextlib
import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING

from intercom_mux.broker.core import js_json
from intercom_mux.broker.core.extensions import SharedState

if TYPE_CHECKING:
    from pathlib import Path

    from intercom_mux.broker.core.model import SaveState

FORMAT_VERSION = 1


class ExtensionStore:
    """The files in one directory, which is made with the first of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self) -> dict[str, SharedState]:
        """Return the state of every namespace that can be read, by its key."""
        found: dict[str, SharedState] = {}
        for name in {path.name.removesuffix(".bak") for path in self._directory.glob("*.json*")}:
            main = self._directory / name
            entry = _read(main) or _read(_backup(main))
            if entry is not None:
                found[entry[0]] = entry[1]
        return found

    def save(self, order: SaveState) -> None:
        """Write one state; on return it survives the death of the machine, before that the old one does.

        Raises:
            OSError: It could not be written; the old one is still there.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        main = self._directory / f"{sha256(order.key.encode()).hexdigest()}.json"
        head = {
            "formatVersion": FORMAT_VERSION,
            "namespace": order.key,
            "revision": order.revision,
            "updatedAt": order.at,
            "payloadSha256": sha256(order.payload).hexdigest(),
        }
        if _read(main) is not None:
            _write(_backup(main), main.read_bytes())
        _write(main, js_json.dump(head)[:-1] + b',"payload":' + order.payload + b"}")
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _backup(main: Path) -> Path:
    return main.with_name(main.name + ".bak")


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name.replace(".json", ".tmp"))
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _read(path: Path) -> tuple[str, SharedState] | None:
    """Return key and state in a file, None unless all of it is as it was written."""
    try:
        value = json.loads(path.read_bytes())
        key, revision, payload = value["namespace"], value["revision"], js_json.dump(value["payload"])
        is_named_so = path.name.startswith(f"{sha256(key.encode()).hexdigest()}.json")
        is_whole = value["formatVersion"] == FORMAT_VERSION and value["payloadSha256"] == sha256(payload).hexdigest()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    is_counted = type(revision) is int and revision > 0
    return (key, SharedState(revision, payload)) if is_named_so and is_whole and is_counted else None
