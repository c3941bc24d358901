"""`answer`: a person goes through what it is asked, one screen each."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from intercom_mux.cli import text
from intercom_mux.cli.caller import connected, json_option, print_json, team_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intercom_mux.supervise.answer import Pending, Screen, Value

Json = dict[str, Any]

OPEN_EXIT = 10
"""As of an ask that goes on."""
_KEYS = "123456789abcdefghijklmnoprtuvwxyz"
"""What chooses an option; s skips and q quits."""
_LINE_KEYS = "Enter skips · :e opens $EDITOR · :q leaves"


class _Quit(Exception):
    """The person has had enough; what is not answered stays open."""


@click.command()
@team_option
@json_option
def answer(team: str | None, as_json: bool) -> None:
    """Go through the decisions, interviews and asks that wait for you, one screen each, and send your answers.

    A terminal answers what its own session is asked, a pane what its peer is asked: a person supervises a team from
    the pane of the peer that the layout names as `supervisor`. Without a terminal, or with --json, what waits is
    printed. Exit codes: 0 nothing waits any more, 10 something still does.
    """
    is_shown_only = as_json or not (sys.stdin.isatty() and sys.stdout.isatty())
    found = _pending(team)
    if is_shown_only:
        _print(found, as_json=as_json)
    else:
        found = list(_walk(team, found))
    if found:
        click.get_current_context().exit(OPEN_EXIT)


def _pending(team: str | None) -> list[Pending]:
    """Return the open asks to the caller with their whole texts, oldest first."""
    from intercom_mux.supervise import open_asks

    with connected(team, notes_waiting=False) as client:
        return open_asks.to_answer(client)


def _print(found: list[Pending], *, as_json: bool) -> None:
    if as_json:
        print_json([{"id": one.ask_id, "from": one.sender, "kind": one.kind, "text": one.text} for one in found])
        return
    blocks = [f"{text.short(one.ask_id)}  {one.kind} from {one.sender}\n{one.text}" for one in found]
    text.emit("\n\n".join(blocks) or "nothing waits for your answer")


def _walk(team: str | None, found: list[Pending]) -> Iterator[Pending]:
    """Put one after the other to the person and send the answers; yield what stays open."""
    from intercom_mux.supervise import open_asks
    from intercom_mux.supervise.answer import reply

    left = list(found)
    while left:
        one = left[0]
        try:
            answers = _answers(one, len(left))
        except _Quit:
            yield from left
            return
        left.pop(0)
        if not answers:
            yield one
            continue
        with connected(team, notes_waiting=False) as client:
            text.emit(text.replied(open_asks.reply(client, reply(one, answers), to=one.ask_id)))
    if not found:
        text.emit("nothing waits for your answer")


def _answers(one: Pending, count: int) -> dict[str, Value]:
    """Return the answers to the screens of one ask, without those that were skipped.

    Raises:
        _Quit: Nothing of it is to be sent.
    """
    from intercom_mux.supervise.answer import screens

    answers: dict[str, Value] = {}
    for screen in screens(one):
        click.clear()
        text.emit(f"{screen.title}  ({text.plural(count, 'ask', 'asks')} open)\n\n{screen.text}\n")
        value = _value(screen)
        if value:
            answers[screen.key] = value
    if one.interview is not None and answers:
        click.clear()
        text.emit(
            "\n".join(
                f"{key}: {value if isinstance(value, str) else ', '.join(value)}" for key, value in answers.items()
            )
        )
        if _key("\nEnter sends · s skips", "\rs") == "s":
            return {}
    return answers


def _value(screen: Screen) -> Value | None:
    """Return the answer to one screen, None when it is skipped."""
    if screen.kind == "info":
        _key("Enter goes on", "\r")
        return None
    if screen.options:
        return _choice(screen)
    return _line("path or URL of the picture" if screen.kind == "image" else "your answer")


def _choice(screen: Screen) -> Value | None:
    if len(screen.options) > len(_KEYS):
        text.emit("\n".join(f"   {option}" for option in screen.options))
        chosen = _line("your choice" if screen.kind == "single" else "your choices, with commas")
        named = [each.strip() for each in (chosen or "").split(",")] if screen.kind == "multi" else [chosen or ""]
        fitting = [option for option in screen.options if option in named]
        return None if not fitting else fitting if screen.kind == "multi" else fitting[0]
    keys = _KEYS[: len(screen.options)]
    chosen_keys: set[str] = set()
    while True:
        rows = [
            f" {'*' if key in chosen_keys else ' '} {key}  {option}"
            for key, option in zip(keys, screen.options, strict=True)
        ]
        text.emit("\n".join(rows))
        if screen.kind == "single":
            key = _key("a key chooses · s skips", f"{keys}s")
            return None if key == "s" else screen.options[keys.index(key)]
        key = _key("keys choose · Enter is done · s skips", f"{keys}\rs")
        if key in "\rs":
            marked = [option for each, option in zip(keys, screen.options, strict=True) if each in chosen_keys]
            return marked if key == "\r" and marked else None
        chosen_keys ^= {key}


def _key(prompt: str, allowed: str) -> str:
    """Return the first of the allowed keys that is pressed.

    Raises:
        _Quit: It was q.
        KeyboardInterrupt: It was Ctrl-C.
    """
    from intercom_mux.host import keyboard

    terminal = sys.stdin.fileno()
    # What was typed ahead is kept: click.getchar would drop it.
    undo = keyboard.key_by_key(terminal)
    try:
        text.emit(f"{prompt} · q quits")
        while True:
            key = os.read(terminal, 1).decode("ascii", "replace").replace("\n", "\r").lower()
            if key in ("", "q", "\x04"):
                raise _Quit
            if key in allowed:
                return key
    finally:
        undo()


def _line(what: str) -> str | None:
    """Return a line, or what an editor made; None for nothing.

    Raises:
        _Quit: It was `:q`, or the terminal has closed.
    """
    text.emit(f"{what} ({_LINE_KEYS})")
    with suppress(ImportError):
        import readline  # noqa: F401  with it `input` edits: without, an arrow key would be part of the answer
    try:
        line = input("> ")
    except EOFError:
        raise _Quit from None
    if line.strip() == ":q":
        raise _Quit
    if line.strip() == ":e":
        return (click.edit("") or "").strip() or None
    return line.strip() or None
