"""`up` and `down` of four shell panes against raw tmux and tmuxp, in one run.

    python -m tests.bench.teams [--tmuxp PATH] [--repeats N]

`up` is measured with the broker warm, until every pane lives; tmuxp and raw tmux with a cold server, as `up` has it.
Byte code is compiled first: an installed tool has it. Prints medians and their ratios.
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

OURS = "version: 1\nname: four\ndefaults: {agent: shell}\npeers: {a: , b: , c: , d: }\n"
TMUXP = "session_name: four\nwindows:\n- layout: main-vertical\n  panes: [null, null, null, null]\n"


def spent_s(call: Callable[[], object]) -> float:
    """Return the wall time of one call in seconds."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def run(*argv: str | Path, cwd: Path) -> None:
    """Run a program quietly; it must succeed."""
    subprocess.run([str(word) for word in argv], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure, interleaved, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tmuxp", default=shutil.which("tmuxp"))
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    import intercom_mux

    compileall.compile_dir(str(Path(intercom_mux.__file__).parent), quiet=1)
    root = Path(tempfile.mkdtemp(prefix="imt-", dir="/tmp"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(HOME=str(root), XDG_STATE_HOME=str(root / "state"), SHELL="/bin/sh")
    for name in ("TMUX", "TMUX_PANE"):
        os.environ.pop(name, None)
    (root / "four.yaml").write_text(OURS)
    (root / "tmuxp.yaml").write_text(TMUXP)
    ours = Path(sys.executable).with_name("intercom-mux")
    socket = root / "raw.sock"
    split = (";", "split-window", ";", "select-layout", "main-vertical")
    raw = ("tmux", "-f", "/dev/null", "-S", socket, "new-session", "-d", "-x", "220", "-y", "50", *split * 3)
    times: dict[str, list[float]] = {"raw tmux up": [], "ours up": [], "ours down": [], "python": [], "tmuxp up": []}
    try:
        run(ours, "broker", "start", cwd=root)
        for _ in range(options.repeats):
            times["python"].append(spent_s(lambda: run(sys.executable, "-c", "pass", cwd=root)))
            times["raw tmux up"].append(spent_s(lambda: run(*raw, cwd=root)))
            run("tmux", "-S", socket, "kill-server", cwd=root)
            times["ours up"].append(spent_s(lambda: run(ours, "up", "four.yaml", cwd=root)))
            times["ours down"].append(spent_s(lambda: run(ours, "down", cwd=root)))
            if options.tmuxp:
                load = (options.tmuxp, "load", "-d", "-y", "-S", root / "tmuxp.sock", "tmuxp.yaml")
                times["tmuxp up"].append(spent_s(partial(run, *load, cwd=root)))
                run("tmux", "-S", root / "tmuxp.sock", "kill-server", cwd=root)
    finally:
        subprocess.run([str(ours), "down", "--all"], check=False, stdout=subprocess.DEVNULL)
        subprocess.run([str(ours), "broker", "stop"], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(root)
    medians = {name: statistics.median(values) for name, values in times.items() if values}
    for name, value in medians.items():
        print(f"{name:12} {value * 1000:6.0f} ms   {value / medians['raw tmux up']:5.1f} × raw tmux")
    if "tmuxp up" in medians:
        print(f"ours up / tmuxp up = {medians['ours up'] / medians['tmuxp up']:.2f} (budget ≤ 0.5)")


if __name__ == "__main__":
    main()
