"""Which values are secret, and that none of them gets through, however a stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_mux.transcript.masking import REVEALING, Masker
from intercom_mux.transcript.secrets import looks_secret, secrets_of

FEW = st.text("ab", min_size=1, max_size=6)
"""Of so few letters that values overlap, begin like each other, and stand in each other."""
VALUES = st.lists(FEW, min_size=1, max_size=4, unique=True)
STREAMS = st.lists(st.text("abc", max_size=7).map(str.encode), max_size=8)


def masked(values: list[str], parts: list[bytes]) -> bytes:
    masker = Masker((f"N{number}", value) for number, value in enumerate(values))
    return b"".join([*(masker.feed(part) for part in parts), masker.end()])


@given(VALUES, STREAMS)
def test_cuts_change_nothing_and_no_value_is_left(values: list[str], parts: list[bytes]) -> None:
    """The same comes out of one piece and of many, and none of the values stands in what is not a mask."""
    out = masked(values, parts)
    assert out == masked(values, [b"".join(parts)])
    assert out == masked(values, [bytes([byte]) for byte in b"".join(parts)])
    for kept in out.replace(b"[masked ", b"\0").replace(b"]", b"\0").split(b"\0"):
        assert not any(value.encode() in kept for value in values)


@given(VALUES, STREAMS)
def test_what_is_no_secret_stays(values: list[str], parts: list[bytes]) -> None:
    """Put back, the masks give the stream that went in, but for a begun secret at its very end."""
    data = b"".join([*parts, b"c"])
    out = masked(values, [*parts, b"c"])
    for number, value in enumerate(values):
        out = out.replace(b"[masked N%d]" % number, value.encode())
    assert out == data


@given(VALUES, STREAMS)
def test_little_is_held_back(values: list[str], parts: list[bytes]) -> None:
    """Never more than the longest secret could still need, and nothing after what cannot begin one."""
    masker = Masker((f"N{number}", value) for number, value in enumerate(values))
    for part in parts:
        masker.feed(part)
        assert len(masker._held) < max(map(len, values))
        masker.feed(b"c")
        assert masker._held == b""


def test_the_end_reveals_no_more_than_a_few_bytes() -> None:
    """A stream that ends within a secret ends in a mask, unless it is only the first letters."""
    secret = [("KEY", "sk-123456789")]
    for length in range(1, 12):
        masker = Masker(secret)
        begun = secret[0][1][:length].encode()
        out = masker.feed(b"see " + begun) + masker.end()
        assert out == (b"see " + begun if length < REVEALING else b"see [masked KEY]")


@pytest.mark.parametrize(
    "name",
    [
        *("OPENAI_API_KEY", "GITHUB_TOKEN", "token", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "SIGNING_PRIVATE_KEY"),
        *("GH_PAT", "NPM_AUTH", "AWS_ACCESS_KEY", "apiKey", "KEY_PASSPHRASE", "CREDENTIALS"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    """What is called so is masked."""
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "PWD", "SSH_AUTH_SOCK", "GIT_AUTHOR_NAME", "XAUTHORITY", "MAX_THINKING_TOKENS"),
        *("TOKENIZERS_PARALLELISM", "GOOGLE_APPLICATION_CREDENTIALS_FILE", "KEYBOARD", "PATTERN", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_names_of_what_is_none(name: str) -> None:
    """What only sounds like it, counts, or says where one lies, is not."""
    assert not looks_secret(name)


def test_values_of_secrets() -> None:
    """By name or by mark, each line of a long one, a password in any URL; nothing as short as a common word."""
    environment = {
        "A_TOKEN": "short",
        "B_TOKEN": "longer-one",
        "WORD": "watchword",
        "PEM_PRIVATE_KEY": "-----BEGIN\nMIIEvQIBADAN\n",
        "DATABASE_URL": "postgres://me:hunter22@db/x",
        "HOME": "/home/me",
    }
    assert secrets_of(environment, ["WORD"]) == [
        ("PEM_PRIVATE_KEY", "MIIEvQIBADAN"),
        ("B_TOKEN", "longer-one"),
        ("PEM_PRIVATE_KEY", "-----BEGIN"),
        ("WORD", "watchword"),
        ("DATABASE_URL", "hunter22"),
    ]
