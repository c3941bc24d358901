"""What the user has written: config.toml, and the layout of this directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from intercom_mux.agents.find import auto_order
from intercom_mux.broker import config as broker_config
from intercom_mux.config import config_file
from intercom_mux.doctor.finding import Finding, of_error
from intercom_mux.errors import IntercomError, LayoutError
from intercom_mux.layout.find import find_layout, named_layouts
from intercom_mux.layout.load import load_layout
from intercom_mux.team import message_rules, notice_rules
from intercom_mux.team.state import all_teams
from intercom_mux.transcript import settings as transcript_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_READERS = (broker_config.load, auto_order, message_rules.load, notice_rules.load, transcript_settings.load)


def configuration() -> Iterator[Finding]:
    """Yield the faults of config.toml, one for each of its tables that has any."""
    file = config_file()
    if not file.exists():
        yield Finding("ok", "config", f"no {file}: all as it comes")
        return
    faults: dict[str, Finding] = {}
    for read in _READERS:
        try:
            read()
        except IntercomError as error:
            faults.setdefault(str(error), of_error("config", error))
    yield from faults.values()
    if not faults:
        yield Finding("ok", "config", f"{file} is right")


def layout() -> Iterator[Finding]:
    """Yield whether the layouts that this directory has of its own are right; bundled ones are tested elsewhere.

    That it has none is told only where no team runs, whose layout then lies wherever it likes.
    """
    here = Path.cwd()
    own = [name for name, files in named_layouts(here).items() if any(file.is_relative_to(here) for file in files)]
    if not own and not any(team.project == here.resolve() for team in all_teams()):
        yield Finding("note", "layout", f"{here} has none of its own", "intercom-mux init planner-worker")
    for name in own:
        try:
            found = find_layout(name, here)
            loaded = load_layout(found, environ=os.environ)
        except LayoutError as error:
            # No fault of the installation; and a value may be meant to be given each time.
            yield Finding("warning", "layout", str(error.message).partition("\n")[0], f"intercom-mux validate {name}")
        else:
            yield Finding("ok", "layout", f"{found.path}: {loaded.name}, {len(loaded.peers)} peers")
