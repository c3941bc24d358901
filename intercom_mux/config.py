"""Reading `config.toml` of the user (docs/configuration.md), table by table. Strict: what is misspelt is told.

Each table has one reader, which knows its keys and their kinds: `[broker]` broker/config.py, `[agents]` agents/find.py,
`[messages]` team/message_rules.py, `[notify]` team/notice_rules.py, `[transcripts]` transcript/settings.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intercom_mux import paths
from intercom_mux.errors import IntercomError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

TABLES = ("broker", "agents", "messages", "notify", "transcripts")
"""The tables there are; a new one needs a reader and a place in docs/configuration.md."""


def config_file() -> Path:
    """Return the path of the configuration; it need not exist."""
    return paths.config_dir() / "config.toml"


def table(name: str, *, keys: Collection[str], error: type[IntercomError] = IntercomError) -> dict[str, Any]:
    """Return the table `name`, empty when the file has none.

    Raises:
        IntercomError: Of the kind `error`, code `E_CONFIG`: the file cannot be read, is no TOML, or has an unknown key.
    """
    try:
        text = config_file().read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem_:
        raise problem(f"cannot be read: {problem_}", error=error) from problem_
    import tomllib  # most users have no such file, and every command looks for it

    try:
        whole = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem_:
        raise problem(f"is not TOML: {problem_}", error=error) from problem_
    check_keys("", whole, TABLES, error=error)
    value = whole.get(name, {})
    if not isinstance(value, dict):
        raise problem(f"{name} must be a table, [{name}]", key=name, error=error)
    check_keys(name, value, keys, error=error)
    return value


def check_keys(
    where: str, found: dict[str, Any], known: Collection[str], *, error: type[IntercomError] = IntercomError
) -> None:
    """Raise for a key of the table `where` that is not `known`."""
    for key in found:
        if key not in known:
            name = f"{where}.{key}" if where else key
            raise problem(f"unknown key {name}{guess(key, known)}", key=name, error=error)


def guess(word: str, known: Collection[str]) -> str:
    """Return "; did you mean …?" when one of `known` is close to `word`, else ""."""
    import difflib  # only a failing call pays for it

    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def problem(what: str, *, error: type[IntercomError] = IntercomError, **fields: str) -> IntercomError:
    """Return the error that says what is wrong with the file."""
    file = config_file()
    return error(f"{file}: {what}", code="E_CONFIG", hint=f"correct {file}, then try again", path=str(file), **fields)
