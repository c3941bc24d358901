"""What a message is made of: its text, from the command line, a file or stdin, and its attachments.

Everything is read and checked before anything is sent; what is wrong is a usage error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Json = dict[str, Any]

MESSAGE_MAX_BYTES = 1_000_000
"""Text and attachments together, a little below what one frame takes."""

_LANGUAGES = {
    "c": "c",
    "cpp": "cpp",
    "css": "css",
    "diff": "diff",
    "go": "go",
    "h": "c",
    "html": "html",
    "java": "java",
    "js": "javascript",
    "json": "json",
    "md": "markdown",
    "patch": "diff",
    "py": "python",
    "rb": "ruby",
    "rs": "rust",
    "sh": "bash",
    "sql": "sql",
    "toml": "toml",
    "ts": "typescript",
    "tsx": "tsx",
    "yaml": "yaml",
    "yml": "yaml",
}


def attachment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--file`, `--attach`, `--snippet` and `--context` to a command."""
    for option in (
        click.option("--context", "contexts", metavar="TEXT", multiple=True, help="Attach a piece of text."),
        click.option("--snippet", "snippets", metavar="FILE:10-40", multiple=True, help="Attach lines of a file."),
        click.option("--attach", "files", metavar="FILE", multiple=True, type=click.Path(), help="Attach a text file."),
        click.option("--file", "source", metavar="FILE", type=click.Path(), help="Read the text from a file."),
    ):
        command = option(command)
    return command


def read_text(word: str | None, source: str | None) -> str:
    """Return the text of a message: the word, stdin for `-`, or the file.

    Raises:
        click.UsageError: There is none, there are two, or it cannot be read as text.
    """
    if word is not None and source is not None:
        raise click.UsageError("the text is given twice: as an argument and by --file")
    if source is not None:
        body = _read(source, "--file")
    elif word == "-":
        body = _decode(sys.stdin.buffer.read(), "stdin")
    elif word is not None:
        body = word
    else:
        raise click.UsageError("the text is missing: give it as an argument, `-` for stdin, or --file FILE")
    if not body.strip():
        raise click.UsageError("the text is empty")
    return body


def read_attachments(files: Sequence[str], snippets: Sequence[str], contexts: Sequence[str], body: str) -> list[Json]:
    """Return the attachments of a message whose text is `body`, in the order of the parameters.

    Raises:
        click.UsageError: One cannot be read, is not text, or the whole is larger than `MESSAGE_MAX_BYTES`.
    """
    attachments = [_attachment("file", file, _read(file, "--attach"), file) for file in files]
    attachments += [_snippet(spec) for spec in snippets]
    attachments += [{"type": "context", "name": "context", "content": context} for context in contexts]
    size = sum(len(part.encode(errors="replace")) for part in (body, *(a["content"] for a in attachments)))
    if size > MESSAGE_MAX_BYTES:
        raise click.UsageError(
            f"the message has {size:,} bytes, more than the {MESSAGE_MAX_BYTES:,} that can be sent; "
            "send the path of what is large"
        )
    return attachments


def _attachment(kind: str, name: str, content: str, file: str) -> Json:
    attachment = {"type": kind, "name": name, "content": content}
    language = _LANGUAGES.get(Path(file).suffix[1:].lower())
    return {**attachment, "language": language} if language else attachment


def _snippet(spec: str) -> Json:
    file, _, span = spec.rpartition(":")
    first, dash, last = span.partition("-")
    if not (file and first.isdecimal() and (last.isdecimal() or not dash)):
        raise click.UsageError(f"--snippet {spec}: write FILE:LINE or FILE:FIRST-LAST, as in main.py:10-40")
    start, end = int(first), int(last or first)
    lines = _read(file, "--snippet").splitlines()
    if not 1 <= start <= end <= len(lines):
        raise click.UsageError(f"--snippet {spec}: {file} has lines 1 to {len(lines)}")
    return _attachment("snippet", spec, "\n".join(lines[start - 1 : end]), file)


def _read(file: str, option: str) -> str:
    try:
        with open(file, "rb") as stream:
            # One byte more than fits tells a large file from one that just fits, without reading it all.
            data = stream.read(MESSAGE_MAX_BYTES + 1)
    except OSError as error:
        raise click.UsageError(f"{option} {file}: {error.strerror}") from error
    if len(data) > MESSAGE_MAX_BYTES:
        raise click.UsageError(f"{option} {file}: larger than {MESSAGE_MAX_BYTES:,} bytes; send its path instead")
    return _decode(data, f"{option} {file}")


def _decode(data: bytes, what: str) -> str:
    try:
        decoded = data.decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{what}: not UTF-8 text; send its path instead") from error
    if "\0" in decoded:
        raise click.UsageError(f"{what}: a binary file; send its path instead")
    return decoded
