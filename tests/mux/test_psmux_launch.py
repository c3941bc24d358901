"""Which command starts an agent on Windows: programs, npm's scripts, and batch files with exactly the words meant."""

from __future__ import annotations

import ntpath
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intercom_mux.mux.psmux_launch import batch_command, windows_command

if TYPE_CHECKING:
    from collections.abc import Callable

NPM = r"""@ECHO off
GOTO start
:find_dp0
SET dp0=%~dp0
EXIT /b
:start
SETLOCAL
CALL :find_dp0

IF EXIST "%dp0%\node.exe" (
  SET "_prog=%dp0%\node.exe"
) ELSE (
  SET "_prog=node"
  SET PATHEXT=%PATHEXT:;.JS;=;%
)

endLocal & goto #_undefined_# 2>NUL || title %COMSPEC% & "%_prog%"  "%dp0%\node_modules\@openai\codex\bin\codex.js" %*
"""
ENV = {"Path": r'C:\Windows;"C:\Program Files\nodejs";C:\npm', "PATHEXT": ".COM;.EXE;.BAT;.CMD"}


def disk(**files: str) -> Callable[[str], str | None]:
    """Return how files are read on a disk that has these, by path; a Windows disk does not mind the case."""
    there = {path.lower(): text for path, text in files.items()}
    return lambda path: there.get(ntpath.normpath(path).lower())


def test_a_program_is_found_as_cmd_does() -> None:
    """In the order of PATH, in each place by PATHEXT; a path is taken from the peer's directory; unknown stays."""
    read = disk(**{r"C:\npm\git.exe": "", r"C:\Program Files\nodejs\git.exe": "", r"D:\work\bin\tool.exe": ""})
    assert windows_command(["git", "a b"], ENV, r"D:\work", read) == [r"C:\Program Files\nodejs\git.exe", "a b"]
    assert windows_command(["git.EXE"], ENV, r"D:\work", read) == [r"C:\Program Files\nodejs\git.EXE"]
    assert windows_command([r".\bin\tool"], ENV, r"D:\work", read) == [r"D:\work\.\bin\tool.exe"]
    assert windows_command(["nothing", "x"], ENV, r"D:\work", read) == ["nothing", "x"]


def test_a_script_of_npm_is_passed_by() -> None:
    """The node program is started itself, so that a prompt may have line ends."""
    script = r"C:\npm\node_modules\@openai\codex\bin\codex.js"
    words = ["codex", "one\ntwo", '100% "sure"']
    read = disk(**{r"C:\npm\codex.cmd": NPM, r"C:\Program Files\nodejs\node.exe": ""})
    assert windows_command(words, ENV, "D:/", read) == [r"C:\Program Files\nodejs\node.exe", script, *words[1:]]
    read = disk(**{r"C:\npm\codex.cmd": NPM, r"C:\npm\node.exe": ""})
    assert windows_command(words, ENV, "D:/", read) == [r"C:\npm\node.exe", script, *words[1:]]


def test_another_batch_file_goes_through_cmd() -> None:
    """And takes no line end: cmd would take what follows for nothing, or for a command."""
    read = disk(**{r"C:\npm\agent.bat": "@python agent.py %*"})
    assert windows_command(["agent", "a&b"], ENV, "D:/", read) == (
        r'cmd.exe /e:ON /v:OFF /d /c ""C:\npm\agent.bat" "a&b""'
    )
    for end in "\n\r\0":
        with pytest.raises(ValueError, match="no argument with a line break"):
            windows_command(["agent", f"a{end}b"], ENV, "D:/", read)


def by_cmd(command: str) -> str:
    """Return what cmd makes of a line of ours: no variable is left in it, and nothing special stands outside quotes."""
    inner = re.fullmatch(r'cmd\.exe /e:ON /v:OFF /d /c "(.*)"', command, re.DOTALL)
    assert inner is not None
    line = inner[1].replace("%cd:~,%", "")
    assert not re.search(r"%[^% ]+%", inner[1].replace("%cd:~,%", "\0").replace("%\0", ""))
    outside = "".join(line.split('"')[::2])
    assert not re.search(r"[&|<>^()!%]", outside), outside
    return line


def by_c(line: str) -> list[str]:
    """Return the words that a C program takes from a command line: backslashes count before quotes only."""
    words: list[str] = []
    at, word, is_quoted, is_begun = 0, "", False, False
    while at <= len(line):
        rest = line[at:]
        slashes = len(rest) - len(rest.lstrip("\\"))
        if rest[slashes : slashes + 1] == '"' and slashes:
            word += "\\" * (slashes // 2)
            at += slashes
            if slashes % 2:
                word += '"'
                at += 1
        elif rest.startswith('""') and is_quoted:
            word, at = word + '"', at + 2
        elif rest.startswith('"'):
            is_quoted, is_begun, at = not is_quoted, True, at + 1
        elif not rest or (rest[0] == " " and not is_quoted):
            words += [word] if is_begun or word else []
            word, is_begun, at = "", False, at + 1
        else:
            word, at = word + rest[0], at + 1
    return words


CHARACTERS = st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])


@given(st.lists(st.text(CHARACTERS, max_size=12), max_size=4))
@example(["", 'say "hi"', "100%", "%PATH%", "a\\", 'b\\"c', "x & del y", "!z!", "^", "%cd%", '"&calc&"'])
def test_the_words_arrive_as_they_were(words: list[str]) -> None:
    """Whatever is in them, through cmd and the program's own rules."""
    script = r"C:\Program Files\100%\agent.cmd"
    assert by_c(by_cmd(batch_command(script, words))) == [script, *words]
