"""The text for a repository is true to the command line."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest
import yaml

from intercom_mux.bridges.skill import render
from intercom_mux.cli.main import cli
from tests.cli.stage import run

if TYPE_CHECKING:
    from pathlib import Path

LINES = re.findall(r"^ {4,}(intercom-mux .*)$", render("skill"), re.MULTILINE)
NEVER = {"up", "down", "scale", "restart", "spawn", "kill"}


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_shown_is_one(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """click's parser takes each, and none starts or ends agents."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answer.md").write_text("yes")
    _, verb, *arguments = shlex.split(line)
    assert verb not in NEVER
    command: click.Command = cli.commands[verb]
    if isinstance(command, click.Group):
        verb, *arguments = arguments
        command = command.commands[verb]
    command.make_context(verb, arguments)


def test_the_verbs_that_an_agent_needs_are_all_shown() -> None:
    """Reading, sending, asking, answering, reporting, and what to do when an ask takes long."""
    shown = {shlex.split(line)[1] for line in LINES}
    assert shown == {"reply", "inbox", "list", "send", "ask", "result", "pending", "progress", "supervisor"}


def test_a_skill_has_front_matter() -> None:
    """Name and description, as skills are found by them; within the limits of the format."""
    _, front, body = render("skill").split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts.keys() == {"name", "description"}
    assert re.fullmatch(r"[a-z0-9-]{1,64}", facts["name"])
    assert len(facts["description"]) <= 1024
    assert body.startswith("\n# Intercom\n")


def test_the_section_for_agents_md_fits_into_a_page() -> None:
    """No front matter, and no heading of the first level."""
    text = run("skill", "--format", "agents").out
    assert re.findall(r"^#+ \w+", text, re.MULTILINE)[0] == "## Intercom"
    assert not re.search(r"^# ", text, re.MULTILINE)


def test_the_command_prints_the_skill() -> None:
    """The default is the skill."""
    assert run("skill") == (0, render("skill"), "")
