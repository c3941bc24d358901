"""docs/mcp.md says what the server does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from intercom_mux.bridges.mcp_tools import TOOLS
from intercom_mux.cli.bridges import STANDALONE_WAIT_S
from intercom_mux.supervise.interview import read_request

DOC = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text()


def test_the_table_names_every_tool_with_its_parameters() -> None:
    """In the order of the list, optional ones with a question mark."""
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", DOC, re.MULTILINE)
    assert [name for name, _ in rows] == [tool.name for tool in TOOLS]
    for tool, (_, told) in zip(TOOLS, rows, strict=True):
        expected = {name if name in tool.required else f"{name}?" for name in tool.properties}
        assert set(re.findall(r"`(\w+\??)`", told)) == expected


def test_the_examples_are_valid() -> None:
    """The configuration is JSON that calls us, the interview is one."""
    configuration, interview = map(json.loads, re.findall(r"```json\n(.*?)```", DOC, re.DOTALL))
    assert configuration["mcpServers"]["intercom"]["args"][0] == "mcp"
    assert len(read_request(interview).questions) == 3


def test_the_limit_outside_a_team_is_told() -> None:
    """The seconds are those of the command."""
    assert f"{STANDALONE_WAIT_S:g} seconds outside a team" in DOC
