"""The README tells the truth: its layout loads, its verbs and files exist."""

from __future__ import annotations

import re
from pathlib import Path

from intercom_mux.cli.main import cli
from intercom_mux.layout.find import Found, bundled_layouts
from intercom_mux.layout.load import load_layout

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """Return the text under a second-level heading."""
    return README.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_layout_shown_loads(tmp_path: Path) -> None:
    """The example is a valid layout whose peers are those that the text speaks of."""
    yaml = re.search(r"```yaml\n(.*?)```", section("A layout"), re.DOTALL)
    assert yaml is not None
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "planner.md").write_text("Plan.")
    file = tmp_path / "planner-worker.yaml"
    file.write_text(yaml[1])
    layout = load_layout(Found(file, tmp_path, "path"), variables={}, environ={})
    assert [peer.name for peer in layout.peers] == ["planner", "worker-1", "worker-2", "reference-auth", "tests"]


def test_every_verb_of_the_table_exists_and_none_is_missing() -> None:
    """The table names exactly the commands that there are."""
    cells = re.findall(r"^\| (`.*?) \|", section("Verbs"), re.MULTILINE)
    named = {word.split()[0] for cell in cells for word in re.findall(r"`([^`]+)`", cell)}
    assert named == set(cli.commands)


def test_every_bundled_layout_is_named() -> None:
    """The text lists the layouts that are shipped."""
    for name in bundled_layouts():
        assert f"`{name}`" in section("A layout")


def test_links_and_scripts_exist() -> None:
    """Every relative link and both commands lead to a file."""
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    scripts = re.findall(r"`sh (\S+)`", README)
    assert len(scripts) == 2
    for path in [*links, *scripts]:
        assert (ROOT / path).is_file(), path
