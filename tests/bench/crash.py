"""Kill the broker under load for as long as wanted and account for every message: `python -m tests.bench.crash`.

`--minutes N` (5), `--seed N` (the clock). Ends with 1 and names every fault if a promise was broken.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.bench.load import broker
from tests.broker.crash import Trial


def main() -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    trial = Trial(arguments.seed)
    end = time.monotonic() + arguments.minutes * 60
    with broker():
        trial.run(lambda _: time.monotonic() >= end)
    faults = trial.account.faults()
    print(f"kills {dict(trial.killer.kills)}")
    print(trial.account.summary())
    print(f"faults: {len(faults)}", *faults[:50], sep="\n  ")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
