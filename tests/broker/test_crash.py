"""Brokers killed at random under load; `INTERCOM_MUX_CRASH_SEED` repeats the choices of a run that failed."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tests.broker.crash import Trial

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 8


def test_every_message_and_ask_is_accounted_for_whenever_the_broker_is_killed(home: Path) -> None:
    """Accepted is shown, once and in order; every ask is answered or ends for a true reason; nothing stays open."""
    seed = int(os.environ.get("INTERCOM_MUX_CRASH_SEED", time.time_ns() % 1_000_000))
    trial = Trial(seed, longest_s=0.8)
    trial.run(lambda kills: kills.total() >= KILLS)
    faults, summary = trial.account.faults(), trial.account.summary()
    assert not faults, f"INTERCOM_MUX_CRASH_SEED={seed}: {faults[:20]}; {summary}"
    assert trial.account.asks["ours answered"] > 0, summary
