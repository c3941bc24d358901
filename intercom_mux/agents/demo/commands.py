"""The commands that a project's files give for testing, running, building and installing it. Pure.

Two sources: what a README shows as a command, and what a manifest (Makefile, package.json, …) stands for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intercom_mux.agents.demo.cells import printable
from intercom_mux.agents.demo.words import terms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intercom_mux.agents.demo.search import Document

TOPICS = ("test", "install", "build", "run")
"""What commands are for; a question for several means the first: tests are run, not built."""

_LINE_MAX_CHARS = 200

_PROGRAMS = (
    r"bash|bun|bundle|cargo|cmake|composer|docker(?= build| run| compose \S)|dotnet|go|gradle|java|just|make|mix|mvn"
    r"|node|nox|npm|npx|pip3?|pipx|pnpm|poetry|pytest|python3?|rake|ruby|sh|tox|uvx?|yarn|\./\S+"
)
_RUNNER = re.compile(rf"(?:\$ )?(?:sudo )?(?P<line>(?:{_PROGRAMS}) +[^#\s].*?)(?:\s+#.*)?$")
_INLINE = re.compile(r"`([^`\n]+)`")
_TARGET = re.compile(r"^(?P<name>[A-Za-z][\w-]*)\s*:(?!=)")
_SCRIPT = re.compile(r'^\s*"(?P<name>[\w:-]+)"\s*:\s*"')
_NAMES = {
    "test": ("test", "tests", "check"),
    "run": ("run", "start", "serve", "dev"),
    "build": ("build", "compile", "all"),
    "install": ("install", "setup"),
}
_MANIFESTS = {
    "Cargo.toml": {
        "test": "cargo test",
        "run": "cargo run",
        "build": "cargo build",
        "install": "cargo install --path .",
    },
    "go.mod": {"test": "go test ./...", "build": "go build ./...", "run": "go run ."},
    "tox.ini": {"test": "tox"},
    "noxfile.py": {"test": "nox"},
    "requirements.txt": {"install": "pip install -r requirements.txt"},
    "docker-compose.yml": {"run": "docker compose up"},
    "compose.yaml": {"run": "docker compose up"},
}
_DESCRIPTION = re.compile(r'^[ \t]*"?description"?[ \t]*[:=][ \t]*"(?P<said>[^"\n]+)"', re.MULTILINE)
_PYTEST = re.compile(r"^\[tool\.pytest|\bpytest\b", re.MULTILINE)
_SHOWN, _DECLARED, CONCLUDED = range(3)


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, what it is for, where it is said, and how directly: shown, declared, or `CONCLUDED`."""

    topic: str
    line: str
    place: str
    rank: int


def in_document(document: Document) -> Iterator[Command]:
    """Yield the commands that one file gives."""
    base = document.path.rpartition("/")[2]
    is_top = base == document.path
    if is_top and base.lower().startswith(("readme", "contributing", "install")):
        yield from _shown(document)
    if is_top:
        yield from _declared(document, base)
    yield from _concluded(document, base)


def description(document: Document) -> str:
    """Return what a manifest says that its project is, else ""."""
    if document.path not in ("pyproject.toml", "package.json", "Cargo.toml"):
        return ""
    found = _DESCRIPTION.search(document.text)
    return printable(found["said"]) if found else ""


def _shown(document: Document) -> Iterator[Command]:
    """Yield the command lines in code blocks, and in the middle of a sentence."""
    is_fenced = False
    for number, line in enumerate(document.text.splitlines(), start=1):
        if line.startswith(("```", "~~~")):
            is_fenced = not is_fenced
            continue
        is_block = is_fenced or line.startswith(("    ", "\t"))
        for shown in [line.strip()] if is_block else _INLINE.findall(line):
            match = _RUNNER.match(shown) if len(shown) <= _LINE_MAX_CHARS else None
            if match:
                command = printable(match["line"].strip())
                yield Command(_purpose(command), command, f"{document.path}:{number}", _SHOWN)


def _purpose(command: str) -> str:
    said = terms(command)
    if {"test", "check", "pytest", "tox", "nox"} & set(said):
        return "test"
    return next((topic for topic in ("install", "build") if topic in said), "run")


def _declared(document: Document, base: str) -> Iterator[Command]:
    for topic, line in _MANIFESTS.get(base, {}).items():
        yield Command(topic, line, document.path, _DECLARED)
    if base in ("Makefile", "GNUmakefile", "makefile"):
        yield from _named(document, _TARGET, "make {}")
    elif base in ("justfile", "Justfile"):
        yield from _named(document, _TARGET, "just {}")
    elif base == "package.json":
        yield from _named(document, _SCRIPT, "npm run {}")
        yield Command("install", "npm install", document.path, _DECLARED)
    elif base == "pyproject.toml":
        if _PYTEST.search(document.text):
            yield Command("test", "python -m pytest", document.path, _DECLARED)
        if "[project]" in document.text or "[build-system]" in document.text:
            yield Command("install", "pip install .", document.path, _DECLARED)


def _named(document: Document, pattern: re.Pattern[str], form: str) -> Iterator[Command]:
    """Yield what a file of named tasks has under a topic's customary names."""
    for number, line in enumerate(document.text.splitlines(), start=1):
        match = pattern.match(line)
        for topic, names in _NAMES.items():
            if match and match["name"] in names:
                yield Command(topic, form.format(match["name"]), f"{document.path}:{number}", _DECLARED)


def _concluded(document: Document, base: str) -> Iterator[Command]:
    """Yield what the mere name of a file tells."""
    path = document.path
    folder = path.split("/")[-2] if "/" in path else ""
    if base == "__main__.py" and path in (f"{folder}/{base}", f"src/{folder}/{base}"):
        yield Command("run", f"python -m {folder}", path, CONCLUDED)
    if base in ("run.sh", "test.sh", "tests.sh", "run-tests.sh", "run_tests.sh") and "test" in terms(path):
        yield Command("test", f"sh {path}", path, CONCLUDED)
    if re.fullmatch(r"test_\w+\.py|\w+_test\.py", base):
        if "pytest" in document.text or "\ndef test_" in document.text:
            yield Command("test", "python -m pytest", path, CONCLUDED)
        elif "unittest" in document.text:
            yield Command("test", "python -m unittest", path, CONCLUDED)
