"""`logs`: what a peer's program has printed, from its transcript (docs/logs.md)."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import print_json
from intercom_mux.cli.history import moment
from intercom_mux.cli.teams import JSON, TEAM, select, surface_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from intercom_mux.transcript.keeping import Kept
    from intercom_mux.transcript.reader import Piece

Json = dict[str, Any]

_LINES = 200
_TAIL_BYTES = 1_000_000
_POLL_S = 0.2
_PARTIAL_S = 0.4
"""For so long an unfinished line must have stood to be shown by `-f`."""


@click.command()
@click.argument("peer", required=False)
@TEAM
@click.option("-f", "--follow", is_flag=True, help="Go on printing what comes.")
@click.option("-n", "--lines", type=click.IntRange(0), help="Begin with so many, the last ones.  [default: 200 or all]")
@click.option("--since", metavar="TIME", help="Only later ones: 30m, 2h, 3d, or 2026-01-31T09:30 in local time.")
@click.option("--grep", metavar="REGEX", help="Only lines in which it is found; (?i) before it ignores case.")
@click.option("-t", "--timestamps", is_flag=True, help="Put before each line when it was printed.")
@click.option("--raw", is_flag=True, help="Print the recorded bytes, control sequences included.")
@click.option("--daemon", is_flag=True, help="Print the team daemon's own log instead of a peer's.")
@click.option("--prune", is_flag=True, help="Remove transcripts of teams that are down instead, or of TEAM or PEER.")
@click.option("--days", type=click.FloatRange(0), help="With --prune: what is older, of teams that run too.")
@JSON
def logs(
    peer: str | None,
    team: str | None,
    follow: bool,
    lines: int | None,
    since: str | None,
    grep: str | None,
    timestamps: bool,
    raw: bool,
    daemon: bool,
    prune: bool,
    days: float | None,
    as_json: bool,
) -> None:
    """Print what PEER's program has printed, over all its starts, also after `down`; secrets are masked (docs/logs.md).

    The last 200 lines; with --since or --grep all. In JSON one object per line: at (Unix milliseconds; null in the
    daemon's log), and text, or mark (started, resumed, lost).
    """
    looks = follow or since or grep or timestamps or raw or daemon or lines is not None
    if (prune and looks) or (days is not None and not prune):
        raise click.UsageError("--prune goes only with --days, --team and --json, and --days with --prune")
    if raw and (grep or timestamps or as_json):
        raise click.UsageError("--raw prints bytes: it does not go with --grep, --timestamps and --json")
    if daemon and (peer or since or timestamps):
        raise click.UsageError("--daemon does not go with PEER, --since and --timestamps")
    if prune:
        _prune(team, peer, days, as_json=as_json)
        return
    pattern = _compiled(grep) if grep is not None else None
    begin = moment(since) if since else 0
    source = _source(team, peer, is_daemon=daemon)
    limit = lines if lines is not None or since or grep else _LINES
    if begin:
        source.seek_time(begin)
    elif limit is not None and pattern is None:
        source.seek_tail(_TAIL_BYTES)
    if raw:
        _print_bytes(source, limit, follow=follow)
        return
    is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not as_json
    printer = _Printer(begin, pattern, has_times=timestamps, as_json=as_json, is_coloured=is_coloured)
    printer.begin(source, limit, is_all=not follow)
    if follow:
        printer.follow(source)


class _Source(Protocol):
    """What can be printed."""

    def seek_time(self, since: int) -> None: ...

    def seek_tail(self, size: int) -> None: ...

    def read(self) -> list[Piece]: ...


class _PlainFile:
    """A log without times, which may begin anew."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = 0

    def seek_time(self, since: int) -> None:
        raise NotImplementedError

    def seek_tail(self, size: int) -> None:
        self._position = max(0, self._file.stat().st_size - size) if self._file.exists() else 0

    def read(self) -> list[Piece]:
        from intercom_mux.transcript.reader import Piece

        try:
            with self._file.open("rb") as stream:
                stream.seek(self._position if self._file.stat().st_size >= self._position else 0)
                data = stream.read(_TAIL_BYTES)
                self._position = stream.tell()
        except FileNotFoundError:
            return []
        return [Piece(data, 0)] if data else []


@dataclass(frozen=True, slots=True)
class _Line:
    at: int
    raw: bytes
    mark: str = ""


class _Printer:
    """Prints lines that are wanted, as they are wanted."""

    def __init__(
        self, begin: int, pattern: re.Pattern[str] | None, *, has_times: bool, as_json: bool, is_coloured: bool
    ) -> None:
        from intercom_mux.transcript.text import Lines

        self._lines = Lines()
        self._begin = begin
        self._pattern = pattern
        self._has_times = has_times
        self._as_json = as_json
        self._is_coloured = is_coloured
        self._partial = ""
        self._is_first = True

    def begin(self, source: _Source, limit: int | None, *, is_all: bool) -> None:
        """Print what there is, the last `limit` lines of it; with `is_all` also a line that has not ended."""
        wanted: deque[_Line] = deque(maxlen=limit)
        while pieces := source.read():
            wanted.extend(self._wanted(pieces))
        rest = self._lines.rest()
        if is_all and rest is not None:
            wanted.extend(line for line in [_Line(*rest)] if self._is_wanted(line))
        for line in wanted:
            self._print(line)
        sys.stdout.flush()

    def follow(self, source: _Source) -> None:
        """Print what comes, until interrupted."""
        quiet_since = time.monotonic()
        while True:
            time.sleep(_POLL_S)
            pieces = source.read()
            if pieces:
                quiet_since = time.monotonic()
            for line in self._wanted(pieces):
                self._print(line)
            is_searched = self._pattern is not None or self._as_json
            if not is_searched and time.monotonic() - quiet_since >= _PARTIAL_S:
                self._print_partial()
            sys.stdout.flush()

    def _wanted(self, pieces: Iterable[Piece]) -> Iterator[_Line]:
        for piece in pieces:
            if piece.mark:
                found = [_Line(piece.at, b"", piece.mark)]
            else:
                found = [_Line(at, raw) for at, raw in self._lines.feed(piece.data, piece.at)]
            yield from filter(self._is_wanted, found)

    def _is_wanted(self, line: _Line) -> bool:
        from intercom_mux.transcript.store import GRAIN_MS
        from intercom_mux.transcript.text import text_of

        if line.at and line.at + GRAIN_MS <= self._begin:
            return False
        if self._pattern is None:
            return True
        return not line.mark and self._pattern.search(text_of(line.raw)) is not None

    def _print(self, line: _Line) -> None:
        from intercom_mux.transcript.text import text_of

        if self._as_json:
            about = {"mark": line.mark} if line.mark else {"text": text_of(line.raw)}
            _write_line(_json({"at": line.at or None, **about}))
            return
        if line.mark:
            shown = "" if self._is_first else self._told(line)
        else:
            shown = self._stamped(line.at, text_of(line.raw, colours=self._is_coloured))
        begun, self._partial = self._partial, ""
        if line.mark and not shown:
            return
        self._is_first = False
        if begun and shown.startswith(begun):
            shown = shown[len(begun) :]
        elif begun:
            _write_line("")
        _write_line(shown)

    def _print_partial(self) -> None:
        """Print the line that has not ended, as a prompt is one, unless what was printed of it has changed since."""
        from intercom_mux.transcript.text import text_of

        rest = self._lines.rest()
        if rest is None:
            return
        shown = self._stamped(rest[0], text_of(rest[1], colours=self._is_coloured)).removesuffix("\x1b[0m")
        if shown.startswith(self._partial) and shown != self._partial:
            sys.stdout.write(shown[len(self._partial) :])
            self._partial = shown
            self._is_first = False

    def _stamped(self, at: int, shown: str) -> str:
        return f"{_time(at)}  {shown}" if self._has_times else shown

    def _told(self, line: _Line) -> str:
        word, _, number = line.mark.partition(" ")
        told = {
            "started": "started again",
            "resumed": "recording goes on; its recorder had ended",
            "lost": f"{number} bytes could not be written",
        }
        return f"── {told.get(word, word)} {_time(line.at)[:-4]} ──"


def _time(at: int) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at // 1000))}.{at % 1000:03}"


def _json(value: Json) -> str:
    import json

    return json.dumps(value)


def _write_line(shown: str) -> None:
    sys.stdout.write(f"{shown}\n")


def _print_bytes(source: _Source, limit: int | None, *, follow: bool) -> None:
    """Print the bytes as they are, from the last `limit` lines on."""
    out = sys.stdout.buffer
    parts = []
    while pieces := source.read():
        parts += [piece.data for piece in pieces]
    data = b"".join(parts)
    if limit is not None:
        lines = data.splitlines(keepends=True) if b"\n" not in data else re.findall(rb"[^\n]*\n|[^\n]+\Z", data)
        data = b"".join(lines[max(0, len(lines) - limit) :])
    out.write(data)
    out.flush()
    while follow:
        time.sleep(_POLL_S)
        for piece in source.read():
            out.write(piece.data)
        out.flush()


def _compiled(grep: str) -> re.Pattern[str]:
    try:
        return re.compile(grep)
    except re.error as error:
        raise click.BadParameter(f"{grep!r} is no regular expression: {error}", param_hint="--grep") from None


# -- which one -----------------------------------------------------------------------------------------------------


def _source(team: str | None, peer: str | None, *, is_daemon: bool) -> _Source:
    from intercom_mux import paths
    from intercom_mux.transcript.keeping import transcripts_dir
    from intercom_mux.transcript.reader import Reader

    team_id, known = _team(team, peer)
    if is_daemon:
        return _PlainFile(paths.team_state_dir(team_id) / "daemon.log")
    if peer is None:
        raise click.UsageError(f"name a peer: {', '.join(known)}")
    return Reader(transcripts_dir(team_id) / peer)


def _team(team: str | None, peer: str | None) -> tuple[str, list[str]]:
    """Return the id of the team that is meant, running or down, and its peers of which there are transcripts.

    Raises:
        TeamError: There is none, there are several, or it has no such peer.
    """
    from intercom_mux.errors import TeamError
    from intercom_mux.transcript.keeping import Kept

    try:
        state = select(team)
    except TeamError as error:
        kept = _kept(team, peer)
        if kept is None:
            raise error from None
        return kept.id, kept.peers
    recorded = Kept(state.id, state.name, state.project).peers
    if peer is None or peer in recorded:
        return state.id, sorted({*recorded, *state.peers})
    kept = None if peer in state.peers else _kept(team, peer)
    if kept is None:
        surface_of(state, peer)
        return state.id, [peer]
    return kept.id, kept.peers


def _kept(team: str | None, peer: str | None) -> Kept | None:
    """Return the team that has gone down and is meant: called so, else of this directory, else the only one.

    Raises:
        TeamError: Several are meant, or it has no such peer.
    """
    from intercom_mux.errors import TeamError
    from intercom_mux.transcript.keeping import is_up, kept_teams

    there = [kept for kept in kept_teams() if not is_up(kept.id) and (peer is None or peer in kept.peers)]
    if team is not None:
        meant = [kept for kept in there if team in (kept.id, kept.name, f"{kept.name}@{kept.project.name}")]
    else:
        meant = there
    here = Path(os.path.realpath(os.curdir))
    around = [kept for kept in meant if here.is_relative_to(kept.project)]
    depth = max((len(kept.project.parts) for kept in around), default=0)
    meant = [kept for kept in around if len(kept.project.parts) == depth] or meant
    if len(meant) > 1:
        ids = [kept.id for kept in meant]
        raise TeamError(
            f"several teams have such transcripts: {', '.join(ids)}",
            code="E_SEVERAL_TEAMS",
            hint="choose one with `--team`",
            teams=ids,
        )
    return meant[0] if meant else None


def _prune(team: str | None, peer: str | None, days: float | None, *, as_json: bool) -> None:
    from intercom_mux.errors import TeamError
    from intercom_mux.transcript.keeping import is_up, kept_teams, prune

    teams = kept_teams()
    if team is not None or peer is not None:
        chosen, _ = _team(team, peer)
        teams = [kept for kept in teams if kept.id == chosen]
    elif days is None:
        teams = [kept for kept in teams if not is_up(kept.id)]
    try:
        files, size = prune(teams, [peer] if peer is not None else [], days or 0)
    except OSError as error:
        raise TeamError(f"cannot remove {error.filename}: {error.strerror}", code="E_PATH") from error
    if as_json:
        print_json({"files": files, "bytes": size})
    else:
        text.emit(f"{text.plural(files, 'file is', 'files are')} removed, {size / 1_048_576:.1f} MiB")
