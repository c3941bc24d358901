"""`config.toml`: strict, with defaults, and the broker that does not start with a wrong one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from intercom_mux.broker import config
from intercom_mux.broker.config import Settings
from intercom_mux.broker.core.model import Limits
from intercom_mux.config import config_file
from intercom_mux.errors import BrokerError
from tests.cli.stage import run

DOC = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture
def file(home: Path) -> Path:
    """Where this test's configuration lies."""
    config_file().parent.mkdir(parents=True)
    return config_file()


def test_without_a_file_there_are_defaults(home: Path) -> None:
    """Nothing needs to be configured."""
    assert config.load() == Settings(limits=Limits())


def test_what_is_said_counts(file: Path) -> None:
    """Units of the keys are those of their names; what is left out keeps its default."""
    file.write_text('broker = {durability = "full", idle_exit_s = 0, limits = {ask_timeout_s = 1.5, mailbox_mb = 1}}')
    settings = config.load()
    assert (settings.durability, settings.idle_exit_s, settings.history_days) == ("full", 0, 7)
    assert settings.limits == Limits(ask_timeout=1500, mailbox_bytes=1_048_576)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[brokr]", "unknown key brokr; did you mean broker?"),
        ("broker = 1", "broker must be a table, [broker]"),
        ("[broker]\nhistory_day = 1", "unknown key broker.history_day; did you mean history_days?"),
        ("[broker]\nhistory_days = '7'", "broker.history_days must be a number above 0, not '7'"),
        ("[broker]\nhistory_mb = inf", "broker.history_mb must be a number above 0, not inf"),
        ("[broker]\nhistory_mb = true", "broker.history_mb must be a number above 0, not True"),
        ("[broker]\nidle_exit_s = -1", "broker.idle_exit_s must be a number of at least 0, not -1"),
        (
            "[broker]\ndurability = 'ful'",
            'broker.durability must be "normal" or "full", not \'ful\'; did you mean full?',
        ),
        ("[broker.limits]\nrecords = 1.5", "broker.limits.records must be a whole number above 0, not 1.5"),
        ("[broker.limits]\nask_timeout = 5", "unknown key broker.limits.ask_timeout; did you mean ask_timeout_s?"),
        (
            "[broker.limits]\nmailbox_wait_s = 9",
            "broker.limits.mailbox_wait_s must be at most 8, because clients give up after ten seconds",
        ),
        ("[broker", "is not TOML: Expected ']' at the end of a table declaration (at end of document)"),
    ],
)
def test_what_is_wrong_is_named(file: Path, text: str, problem: str) -> None:
    """File, key, what fits, and the next step."""
    file.write_text(text)
    with pytest.raises(BrokerError) as caught:
        config.load()
    assert caught.value.message == f"{file}: {problem}"
    assert caught.value.hint == f"correct {file}, then try again"


def test_the_broker_does_not_start_with_a_wrong_one(file: Path) -> None:
    """`broker start` says why; corrected, it starts with what the file says, and shows the durability."""
    file.write_text("[broker]\ndurabilty = 'full'")
    refused = run("broker", "start")
    assert refused.code == 5
    assert "unknown key broker.durabilty; did you mean durability?" in refused.err
    assert f"correct {file}" in refused.err
    file.write_text("[broker]\ndurability = 'full'")
    assert run("broker", "start").code == 0
    assert run("broker", "status", "--json").json["durability"] == "full"


def test_the_page_shows_every_key_with_its_default() -> None:
    """What the page shows is complete and says the defaults."""
    shown = tomllib.loads(re.findall(r"```toml\n(.*?)```", DOC.read_text(), re.DOTALL)[0])["broker"]
    limits = shown.pop("limits")
    assert {"limits": Limits(), **shown} == {name: getattr(Settings(), name) for name in Settings.__slots__}
    assert {config.LIMITS[key][0]: value * config.LIMITS[key][1] for key, value in limits.items()} == {
        name: getattr(Limits(), name) for name in Limits.__slots__
    }
