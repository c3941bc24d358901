"""Open asks of foreign sessions as files, where other programs of pi and atomic look for them.

`<agent dir>/intercom/pending-asks/<messageId>.json`, one per ask, at every place that this broker serves. They show
who waits for whom; the journal alone is what counts, so a file that cannot be written fails nothing.
"""

from __future__ import annotations

import json
import logging
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from intercom_mux import paths
from intercom_mux.broker.core.addresses import shown_name
from intercom_mux.errors import IntercomError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from intercom_mux.broker.core.model import Ask, BrokerState, SessionKey

log = logging.getLogger("intercom_mux.broker")

MAX_NAME_BYTES = 255
"""What file systems take; an ask whose id makes a longer name has no file."""

_TEMPORARY = "record.tmp"


class AskFiles:
    """The files of one broker, the only writer of them at its places."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._directories: list[Path] = []
        self._written: dict[str, tuple[SessionKey, str]] = {}

    def serve(self, places: Iterable[Path]) -> None:
        """Keep files in these `intercom` directories from now on; in a new one, exactly those of the open asks."""
        before, self._directories = self._directories, []
        for place in places:
            directory = place / "pending-asks"
            if directory not in before:
                self._set_right(directory)
            self._directories.append(directory)

    def follow(self, *batches: Iterable[tuple[Any, ...]]) -> None:
        """Bring the files to what `batches` of records made of the asks; call it when they are in the journal."""
        if not self._directories:
            return
        for batch in batches:
            for record in batch:
                if record[0] == "ask":
                    self._review((record[2], record[1]))
                elif record[0] == "ask_end":
                    self._review((record[1], record[2]))

    def _review(self, key: tuple[SessionKey, str]) -> None:
        """Write the file of an ask that is open, remove that of one that is not."""
        name, ask = _file_name(key), self._state.asks.get(key)
        if ask is None and self._written.get(name) == key:
            del self._written[name]
            for directory in self._directories:
                _remove(directory / name)
        elif ask is not None and self._is_shown(ask) and self._written.setdefault(name, key) == key:
            record = self._record(ask)
            for directory in self._directories:
                _write(directory, name, record)

    def _set_right(self, directory: Path) -> None:
        """Remove what an earlier broker left and write what is open."""
        left = [file for file in directory.glob("*") if file.suffix in {".json", ".tmp"}]
        wanted = {_file_name(ask.key): ask for ask in reversed(self._state.asks.values()) if self._is_shown(ask)}
        for file in left:
            if file.name not in wanted:
                _remove(file)
        for name, ask in wanted.items():
            self._written[name] = ask.key
            _write(directory, name, self._record(ask))

    def _is_shown(self, ask: Ask) -> bool:
        """Whether a foreign session asks or is asked; what our own do among themselves needs no file."""
        ends = (self._state.sessions.get(ask.asker), self._state.sessions.get(ask.asked))
        is_foreign = any(session is not None and session.kind == "agent" for session in ends)
        return is_foreign and len(_file_name(ask.key)) <= MAX_NAME_BYTES

    def _record(self, ask: Ask) -> bytes:
        value = {
            "askId": ask.id,
            "messageId": ask.id,
            "asker": self._party(ask.asker),
            "target": self._party(ask.asked),
            "question": self._question(ask),
            "createdAt": ask.created_at,
            "expiresAt": ask.deadline,
        }
        return json.dumps(value, indent=2, ensure_ascii=False).encode(errors="replace")

    def _party(self, key: SessionKey) -> dict[str, str | None]:
        session = self._state.sessions.get(key)
        return {"sessionId": key.id, "name": shown_name(self._state, session, None) if session else None}

    def _question(self, ask: Ask) -> str:
        """Return the whole text, or its start once the asked has it and the broker keeps no more."""
        delivery = self._state.records.get(ask.key)
        return str(json.loads(delivery.body)["content"]["text"]) if delivery and delivery.body else ask.text


def _file_name(key: tuple[SessionKey, str]) -> str:
    """Return `encodeURIComponent` of the id, under a hash of the scope if there is one; as pi names its files."""
    (scope, _), ask_id = key
    name = quote(ask_id, safe="!'()*~") + ".json"
    return f"{sha256(scope.encode()).hexdigest()}-{name}" if scope else name


def _write(directory: Path, name: str, record: bytes) -> None:
    """Put a record in place, whole or not at all, 0600 by the broker's umask; the first one makes the directory."""
    try:
        temporary = paths.private_dir(directory) / _TEMPORARY
        temporary.write_bytes(record)
        temporary.replace(directory / name)
    except (OSError, IntercomError) as error:
        log.warning("an open ask cannot be shown in %s: %s", directory, error)


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        log.warning("an ended ask is still shown as %s: %s", file, error)
