"""docs/protocol.md says what the code does: frames, codes, limits, operations and headings."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from intercom_mux.broker import link
from intercom_mux.broker.core import core, extensions, requests
from intercom_mux.broker.core.model import Limits
from intercom_mux.wire import frames, messages

ROOT = Path(__file__).parent.parent
DOC = (ROOT / "docs" / "protocol.md").read_text()
SOURCES = "".join(file.read_text() for file in (ROOT / "intercom_mux" / "broker").rglob("*.py"))


def rows(header: str) -> list[list[str]]:
    """Return the cells of the table whose first line begins with `header`."""
    _, _, rest = DOC.partition(f"\n| {header} |")
    lines = rest.split("\n\n")[0].splitlines()[2:]
    assert lines, f"no table {header!r}"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names(cells: list[str]) -> set[str]:
    """Return the words in backticks of some cells."""
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_the_frames_that_clients_send() -> None:
    """The table lists exactly the handlers, and `health`."""
    assert names([row[0] for row in rows("client → broker")]) == {*core._HANDLERS, "health"}


def test_the_frames_that_the_broker_sends() -> None:
    """Every type that is written somewhere in the broker is in the table, and none besides."""
    written = set(re.findall(r'"type":\s*"([a-z_]+)"', SOURCES)) - {"health", "mux"}
    written |= set(re.findall(r'broadcast\(state, \w+, "([a-z_]+)"\)', SOURCES))
    assert names([row[0] for row in rows("broker → client")]) == written


def test_the_failure_codes() -> None:
    """Both tables together are the codes that the broker gives to clients."""
    _, _, second = DOC.partition("Codes of requests beside those above:")
    listed = names([row[0] for row in rows("code")]) | set(re.findall(r"^\| `(E_[A-Z_]+)`", second, re.MULTILINE))
    listed |= {"E_ASK_TIMEOUT", "E_ASK_ENDED"} & set(re.findall(r"E_[A-Z_]+", DOC))
    outside = {"E_CONFIG"}
    assert listed == set(re.findall(r'"(E_[A-Z_]+)"', SOURCES)) - outside


def test_the_limits() -> None:
    """Name and number of each."""
    known: dict[str, int] = dataclasses.asdict(Limits())
    for module in (frames, messages, link, extensions):
        known |= {n: v for n, v in vars(module).items() if n.isupper() and n[:4] in {"MAX_", "OUTP"}}
    listed = {name: int(row[1].split()[0]) for row in rows("limit") for name in names(row[:1])}
    assert listed == known


def test_the_operations() -> None:
    """Each request that we answer."""
    assert names([row[0] for row in rows("op")]) == set(requests._OPERATIONS)


def test_the_headings_that_the_code_refers_to_exist() -> None:
    """A reader who follows a docstring arrives."""
    headings = set(re.findall(r"^## (.+)$", DOC, re.MULTILINE))
    code = "".join(file.read_text() for file in (ROOT / "intercom_mux").rglob("*.py"))
    referred = set(re.findall(r'protocol\.md, "([^"]+)"', code))
    assert referred
    assert referred <= headings
