"""`doctor`: what is wrong here, and the command that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from intercom_mux.cli import text

if TYPE_CHECKING:
    from intercom_mux.doctor.finding import Finding

_MARKS = {"ok": "ok", "note": "note", "warning": "warn", "error": "ERROR"}


@click.command()
@click.option("--fix", "is_fixing", is_flag=True, help="Mend what can be mended without losing anything.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(is_fixing: bool, as_json: bool) -> int:
    """Look for what is wrong with this installation, and say how to mend it.

    Multiplexers, agents, extras, permissions, sockets, broker, journal, teams, config.toml and the layouts of this
    directory. Starts nothing. The exit code is 1 if an error is left.
    """
    from intercom_mux.cli.caller import print_json
    from intercom_mux.doctor.examine import examine, mend

    found = list(examine())
    if is_fixing:
        found = list(map(mend, found))
    is_broken = any(finding.state == "error" for finding in found)
    if as_json:
        keys = ("state", "what", "text", "fix")
        print_json([{**{key: getattr(one, key) for key in keys}, "is_safe": one.mend is not None} for one in found])
        return int(is_broken)
    wide = max(len(finding.what) for finding in found)
    for finding in found:
        _show(finding, wide)
    text.emit(_summary(found))
    return int(is_broken)


def _show(finding: Finding, wide: int) -> None:
    text.emit(text.hanging(f"{_MARKS[finding.state]:5}  {finding.what:{wide}}  ", finding.text, text.width()))
    if finding.fix and finding.state != "ok":
        # On one line, however long: it is there to be copied.
        text.emit(f"{'':5}  {'':{wide}}  → {finding.fix}")


def _summary(found: list[Finding]) -> str:
    """Return the last line: how many there are of each kind, and whether `--fix` would help."""
    counts = {state: sum(one.state == state for one in found) for state in ("error", "warning", "note")}
    told = [f"{count} {state}{'s' if count != 1 else ''}" for state, count in counts.items() if count]
    safe = sum(one.mend is not None for one in found)
    return ", ".join(told or ["all is well"]) + (f"; `intercom-mux doctor --fix` mends {safe}" if safe else "")
