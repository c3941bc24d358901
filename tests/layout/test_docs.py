"""docs/layouts.md against the loader."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from intercom_mux.errors import LayoutError
from intercom_mux.layout.arrange import NODE_KEYS
from intercom_mux.layout.compose import INCLUDED_KEYS
from intercom_mux.layout.lifecycle import COMMAND_KEYS, RESOURCE_KEYS, RESTART_KEYS, WORKTREE_KEYS
from intercom_mux.layout.load import KEYS
from intercom_mux.layout.model import ARRANGEMENTS, CONDITIONS, KEEP, MULTIPLEXERS, ON_FAILURE, RESTARTS
from intercom_mux.layout.peers import MAX_COUNT, MAX_PEERS, PEER_KEYS
from intercom_mux.layout.variables import DECLARATION_KEYS
from tests.layout.support import load

PAGE = (Path(__file__).parents[2] / "docs" / "layouts.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_loads(text: str, tmp_path: Path) -> None:
    """Every YAML block of the page is a valid layout."""
    assert load(tmp_path, text).peers


def test_full_example_uses_every_key(tmp_path: Path) -> None:
    """The example of all keys has all keys of the top level, and of a peer."""
    full = EXAMPLES[1]

    assert {key for key in KEYS if re.search(rf"^{key}:", full, re.MULTILINE)} == set(KEYS)
    assert {key for key in PEER_KEYS if re.search(rf"^    {key}:", full, re.MULTILINE)} == set(PEER_KEYS) - {"agent"}


def test_tables_name_every_key_and_limit() -> None:
    """No key, arrangement or limit is missing on the page."""
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))

    assert rows == {*KEYS, *PEER_KEYS}
    assert all(
        f"`{word}`" in PAGE for word in (*ARRANGEMENTS, *MULTIPLEXERS, *KEEP, *RESTARTS, *CONDITIONS, *ON_FAILURE)
    )
    parts = (
        *WORKTREE_KEYS,
        *RESTART_KEYS,
        *RESOURCE_KEYS,
        *COMMAND_KEYS,
        *DECLARATION_KEYS,
        *NODE_KEYS,
        *INCLUDED_KEYS,
    )
    assert [part for part in parts if not re.search(rf"`[^`\n]*\b{part}\b[^`\n]*`", PAGE)] == []
    assert f"1 to {MAX_COUNT};" in PAGE
    assert f"{MAX_PEERS} peers at most" in PAGE


def test_shown_problems_are_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message at the end of the page is what such a file gives."""
    monkeypatch.chdir(tmp_path)
    text = "version: 1\nname: shop\nsuperviser: planner\npeers:\n  planner:\n  worker: {count: two}\n"

    with pytest.raises(LayoutError) as raised:
        load(tmp_path, text)

    shown = "\n".join(f"    {line}" for line in raised.value.message.splitlines())
    assert shown in PAGE
