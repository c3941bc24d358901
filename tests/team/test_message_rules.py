"""The table `[messages]` of the configuration."""

from __future__ import annotations

import pytest

from intercom_mux import config
from intercom_mux.errors import IntercomError
from intercom_mux.team.message_rules import MessageRules, load, load_or_default


def write(text: str) -> None:
    """Write the user's configuration."""
    file = config.config_file()
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_without_a_file_the_defaults_hold() -> None:
    """There need not be a configuration."""
    assert load() == MessageRules(reply_hint=True)


def test_the_table_is_read() -> None:
    """What is set counts."""
    write("[messages]\nreply_hint = false\n")
    assert load() == load_or_default() == MessageRules(reply_hint=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[messages]\nreply_hint = "no"\n', "messages.reply_hint must be true or false"),
        ("[messages]\nconfirm_send = 1\n", "messages.confirm_send must be true or false"),
        (
            '[messages]\ninbound = "reply"\n',
            'messages.inbound must be "always" or "replies" or "never", not \'reply\'; did you mean replies?',
        ),
        ("[messages]\nreplyhint = true\n", "unknown key messages.replyhint; did you mean reply_hint?"),
    ],
)
def test_what_is_wrong_is_told_to_up_and_not_to_a_running_team(text: str, message: str) -> None:
    """`up` refuses it; a daemon that meets it later goes on with the defaults."""
    write(text)
    with pytest.raises(IntercomError, match="messages") as caught:
        load()
    assert caught.value.message.endswith(message)
    assert load_or_default() == MessageRules()
