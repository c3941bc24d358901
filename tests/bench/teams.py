"""`up` and `down` of 4, 16 and 40 shell panes against raw tmux, tmuxp and tmuxinator, in one run.

    python -m tests.bench.teams [--panes 4 16 40] [--tmuxp PATH] [--tmuxinator PATH] [--repeats N]

`up` is measured with the broker warm, until every pane lives; the others with a cold server, as `up` has it, and until
they return. What is not installed is left out. Byte code is compiled first: an installed tool has it. Prints medians
and their ratios.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def spent_s(call: Callable[[], object]) -> float:
    """Return the wall time of one call in seconds."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def run(*argv: str | Path, cwd: Path) -> None:
    """Run a program quietly; it must succeed."""
    words = [str(word) for word in argv]
    subprocess.run(words, cwd=cwd, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def write_layouts(root: Path, panes: int) -> None:
    """Write what brings up so many shells, tiled, for each of the programs."""
    peers = "".join(f"  p{number}:\n" for number in range(panes))
    layout = f"version: 1\nname: bench\narrange: tiled\ndefaults: {{agent: shell}}\npeers:\n{peers}"
    (root / "bench.yaml").write_text(layout)
    shells = ", ".join(["null"] * panes)
    (root / "tmuxp.yaml").write_text(f"session_name: bench\nwindows:\n- layout: tiled\n  panes: [{shells}]\n")
    window = "windows:\n- w:\n    layout: tiled\n    panes:\n" + "    -\n" * panes
    (root / "tmuxinator.yml").write_text(f"name: bench\nroot: {root}\nsocket_name: imux-bench\nattach: false\n{window}")


def measure(root: Path, panes: int, tools: argparse.Namespace) -> dict[str, list[float]]:
    """Return the times of each program, interleaved; every server they start is ended."""
    write_layouts(root, panes)
    ours = Path(sys.executable).with_name("intercom-mux")
    socket = root / "raw.sock"
    split: tuple[str, ...] = (";", "split-window", ";", "select-layout", "tiled")
    raw: tuple[str | Path, ...] = (
        "tmux",
        "-f",
        "/dev/null",
        "-S",
        socket,
        "new-session",
        "-d",
        "-x",
        "220",
        "-y",
        "200",
        *split * (panes - 1),
    )
    load: tuple[str | Path, ...] = (tools.tmuxp, "load", "-d", "-y", "-S", root / "tmuxp.sock", "tmuxp.yaml")
    start = (tools.tmuxinator, "start", "-p", "tmuxinator.yml")
    names = ("raw tmux up", "ours up", "ours down", "python", "tmuxp up", "tmuxinator up")
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(tools.repeats):
        times["python"].append(spent_s(lambda: run(sys.executable, "-c", "pass", cwd=root)))
        times["raw tmux up"].append(spent_s(lambda: run(*raw, cwd=root)))
        run("tmux", "-S", socket, "kill-server", cwd=root)
        times["ours up"].append(spent_s(lambda: run(ours, "up", "bench.yaml", cwd=root)))
        times["ours down"].append(spent_s(lambda: run(ours, "down", cwd=root)))
        if tools.tmuxp:
            times["tmuxp up"].append(spent_s(partial(run, *load, cwd=root)))
            run("tmux", "-S", root / "tmuxp.sock", "kill-server", cwd=root)
        if tools.tmuxinator:
            times["tmuxinator up"].append(spent_s(partial(run, *start, cwd=root)))
            run("tmux", "-L", "imux-bench", "kill-server", cwd=root)
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--panes", type=int, nargs="+", default=[4, 16, 40])
    parser.add_argument("--tmuxp", default=shutil.which("tmuxp"))
    parser.add_argument("--tmuxinator", default=shutil.which("tmuxinator"))
    parser.add_argument("--repeats", type=int, default=9)
    tools = parser.parse_args()
    import intercom_mux

    compileall.compile_dir(str(Path(intercom_mux.__file__).parent), quiet=1)
    root = Path(tempfile.mkdtemp(prefix="imt-", dir="/tmp"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(HOME=str(root), XDG_STATE_HOME=str(root / "state"), SHELL="/bin/sh", EDITOR="true")
    # tmuxinator's server: below the directory that goes, and a screen with room for every pane.
    os.environ.update(TMUX_TMPDIR=str(root), TERM="xterm-256color")
    (root / ".tmux.conf").write_text("set -g default-size 220x200\n")
    for name in ("TMUX", "TMUX_PANE"):
        os.environ.pop(name, None)
    ours = Path(sys.executable).with_name("intercom-mux")
    try:
        run(ours, "broker", "start", cwd=root)
        for panes in tools.panes:
            tell(panes, measure(root, panes, tools))
    finally:
        subprocess.run([str(ours), "down", "--all"], check=False, stdout=subprocess.DEVNULL)
        subprocess.run([str(ours), "broker", "stop"], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(root)


def tell(panes: int, times: dict[str, list[float]]) -> None:
    """Print the medians for so many panes, and how ours compares."""
    medians = {name: statistics.median(values) for name, values in times.items() if values}
    print(f"{panes} panes")
    for name, value in medians.items():
        print(f"  {name:14} {value * 1000:6.0f} ms   {value / medians['raw tmux up']:5.1f} × raw tmux")
    for other, budget in (("tmuxp up", "0.5"), ("tmuxinator up", "1")):
        if other in medians:
            print(f"  ours up / {other} = {medians['ours up'] / medians[other]:.2f} (budget for 4 panes: ≤ {budget})")


if __name__ == "__main__":
    main()
