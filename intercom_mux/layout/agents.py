"""The `agents` of a layout file: agent profiles of its own (docs/agents.md), checked as those in files are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from intercom_mux.agents.find import AUTO, COMMAND, layers
from intercom_mux.layout.document import Mapping
from intercom_mux.layout.model import NAME_PATTERN, NAME_RULE
from intercom_mux.layout.problems import quoted

if TYPE_CHECKING:
    from intercom_mux.agents.profile_tree import Tree
    from intercom_mux.layout.section import Section


def read_agents(root: Section) -> dict[str, Any]:
    """Return the profiles by name as raw data, variables replaced; what is wrong with one becomes a problem."""
    section = root.section("agents")
    trees: dict[str, Tree] = {}
    for name in section:
        if not re.fullmatch(NAME_PATTERN, name):
            section.key_fault(name, f"{quoted(name)} cannot be an agent's name: {NAME_RULE}")
        elif name in (AUTO, COMMAND):
            section.key_fault(name, f"{name} has a meaning of its own; choose another name")
        elif (tree := _tree(section, name)) is not None:
            trees[name] = tree
    if trees:
        from intercom_mux.agents.profile_file import check_profile  # most layouts have no agents of their own

        for name in trees:
            check_profile(name, [*layers(), trees], root.problems, section.key(name))
    return {name: tree.data for name, tree in trees.items()}


def _tree(section: Section, name: str) -> Tree | None:
    from intercom_mux.agents.profile_yaml import plant

    node = section.value(name)
    if not isinstance(node, Mapping):
        section.fault(name, "must be a mapping, as {extends: claude, args: [--verbose]}")
        return None
    return plant(node, read=lambda scalar, key: section.values.text(scalar, f"{section.key(name)}.{key}"))
