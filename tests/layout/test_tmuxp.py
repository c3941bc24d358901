"""tmuxp files become layouts that load, and what cannot be carried over is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercom_mux.errors import LayoutError
from intercom_mux.layout.tmuxp import Imported, from_tmuxp
from tests.layout.support import ENVIRON, load

if TYPE_CHECKING:
    from intercom_mux.layout.model import Layout

FILES = Path(__file__).parent / "tmuxp"


def imported(name: str, directory: Path) -> tuple[Layout, Imported]:
    """Convert a file of `FILES` and load the result."""
    result = from_tmuxp(FILES / name, (FILES / name).read_text())
    return load(directory, result.text, environ=ENVIRON), result


def test_a_project_session(tmp_path: Path) -> None:
    """Names, windows, sizes, directories, variables, commands and the focus are carried over; the rest is listed."""
    layout, result = imported("shop.yaml", tmp_path)

    peers = {peer.name: peer for peer in layout.peers}
    assert layout.name == "web-shop"
    assert list(peers) == ["edit-1", "edit-2", "edit-3", "servers-1", "servers-2", "servers-3", "window-3"]
    assert layout.before_up[0].argv == ("sh", "-c", "./bin/bootstrap --quick")
    assert layout.arrange.focus == "servers-2"
    script = "source .venv/bin/activate\ngit status\necho \"${USER}\"\nexec 'sh'"
    assert tuple(peers["edit-2"].command or ()) == ("sh", "-c", script)
    assert tuple(peers["servers-3"].command or ())[-1].endswith("activate\nexec 'sh'")
    assert peers["edit-1"].cwd == Path("/home/ada/src/shop")
    assert peers["servers-2"].cwd == Path("/home/ada/src/shop/services/worker")
    assert peers["edit-1"].env == {"STAGE": "dev", "DATA_DIR": "/home/ada/data"}
    assert peers["servers-1"].env["PORT"] == "8080"
    assert '"60%"' in str(layout.arrange.to_json()).replace("'", '"')
    assert [(each.mark.line, each.mark.column, each.key) for each in result.left_out] == [
        (7, 1, "options"),
        (20, 13, "windows[0].panes[1].shell_command[0].enter"),
        (36, 5, "windows[2].layout"),
    ]


def test_a_json_file(tmp_path: Path) -> None:
    """JSON indented with tabs is read too."""
    layout, result = imported("notes.json", tmp_path)

    assert [peer.name for peer in layout.peers] == ["write-1", "write-2", "sync"]
    assert [each.key for each in result.left_out] == ["windows[1].window_index", "windows[1].panes[0].sleep_before"]


@pytest.mark.parametrize("text", ["", "[]", "a: b", "windows: 3", "windows: []", "windows: ["])
def test_what_is_no_tmuxp_file_is_refused(text: str) -> None:
    """A file without windows is an error with a place."""
    with pytest.raises(LayoutError) as caught:
        from_tmuxp(Path("session.yaml"), text)
    assert caught.value.fields["problems"][0]["line"] >= 1


WORDS = st.sampled_from(
    ["", "vim", "~", "yes", "${X}", "$${X}", "$HOME/x", "a b", "../x", "tiled", "é\u0007", "${", "x" * 60]
)
TEXTS = WORDS | st.text(max_size=12)
COMMANDS = st.none() | TEXTS | st.lists(TEXTS | st.fixed_dictionaries({"cmd": TEXTS}), max_size=3)
SETTINGS = {
    "start_directory": TEXTS,
    "environment": st.dictionaries(TEXTS | st.just("PORT"), TEXTS, max_size=2),
    "shell_command_before": COMMANDS,
    "focus": st.booleans() | TEXTS,
    "other": TEXTS,
}
PANES = COMMANDS | st.fixed_dictionaries({}, optional={**SETTINGS, "shell_command": COMMANDS})
LAYOUTS = st.sampled_from(["main-vertical", "main-horizontal", "even-vertical", "even-horizontal", "tiled"]) | TEXTS
WINDOWS = st.fixed_dictionaries(
    {}, optional={**SETTINGS, "window_name": TEXTS, "layout": LAYOUTS, "panes": st.lists(PANES, max_size=6)}
)
SESSIONS = st.fixed_dictionaries(
    {"windows": st.lists(WINDOWS | TEXTS, min_size=1, max_size=4)},
    optional={**SETTINGS, "session_name": TEXTS, "before_script": TEXTS},
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(session=SESSIONS)
def test_every_layout_made_loads(tmp_path: Path, session: dict[str, object]) -> None:
    """Whatever a tmuxp file holds, the layout made of it has no problems."""
    result = from_tmuxp(Path("session.yaml"), yaml.safe_dump(session))

    load(tmp_path, result.text)
