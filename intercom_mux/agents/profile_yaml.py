"""Profiles as YAML: a file, or a part of a layout, becomes plain data whose parts keep their places."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from intercom_mux.agents.profile_tree import Tree
from intercom_mux.layout import document
from intercom_mux.layout.files import NotTextError, UnreadableError, read_text
from intercom_mux.layout.model import Mark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intercom_mux.layout.problems import Problems

    Read = Callable[[document.Scalar, str], str | None]

MAX_FILE_BYTES = 256 * 1024
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,8})")
_TRUE = ("true", "yes", "on")


def read_tree(source: Path, problems: Problems) -> Tree | None:
    """Return the data of a profile's file, None after noting why there is none."""
    try:
        text = read_text(source, MAX_FILE_BYTES)
    except NotTextError as error:
        problems.add(Mark(source, error.line, error.column), "", f"byte 0x{error.byte:02x} is not UTF-8 text")
        return None
    except UnreadableError as error:
        problems.add(Mark(source, 1, 1), "", str(error))
        return None
    node = document.parse(source, text, problems)
    if isinstance(node, document.Mapping):
        return plant(node)
    if node is not None or not text.strip():
        mark = node.mark if node is not None else Mark(source, 1, 1)
        problems.add(mark, "", 'a profile is a mapping of "key: value" lines')
    return None


def plant(node: document.Node, key: str = "", *, read: Read | None = None) -> Tree:
    """Return the data below `node`; with `read` texts are what it makes of them, None leaving them as written."""
    places: dict[str, Mark] = {}
    return Tree(_plain(node, "", key, places, read), places)


def _plain(node: document.Node, key: str, shown: str, places: dict[str, Mark], read: Read | None) -> Any:
    places[key] = node.mark
    if isinstance(node, document.Mapping):
        data = {}
        for name, entry in node.entries.items():
            inner = f"{key}.{name}" if key else name
            data[name] = _plain(entry.value, inner, f"{shown}.{name}" if shown else name, places, read)
            places[inner] = entry.mark
        return data
    if isinstance(node, document.Listing):
        return [
            _plain(item, f"{key}[{index}]", f"{shown}[{index}]", places, read) for index, item in enumerate(node.items)
        ]
    if node.kind == "a boolean":
        return node.text.lower() in _TRUE
    if node.kind == "nothing":
        return None
    is_quoted = node.source.text[node.start : node.start + 1] in ("'", '"', "|", ">")
    if _WHOLE.fullmatch(node.text) and not is_quoted:
        return int(node.text)
    return node.text if read is None else read(node, shown)
