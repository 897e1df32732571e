"""The texts in one event of a stream, each with the channel it continues: the same member of the same choice, tool call or item. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headgate.guardrails.texts import SILENT

Step = str | tuple[tuple[str, Any], ...]
"""A member's name, or what tells an element of a list from others: its `index` and `type`."""
Channel = tuple[Step, ...]

ARGUMENTS = "arguments"


def changed(node: Any, channel: Channel, change: Callable[[Channel, str], str]) -> Any:
    """The tree with each text in it replaced by what `change` makes of it."""
    if isinstance(node, str):
        return change(channel, node)
    if isinstance(node, dict):
        return {
            name: value if name in SILENT and ARGUMENTS not in channel else changed(value, (*channel, name), change)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [changed(value, (*channel, _element(value, place)), change) for place, value in enumerate(node)]
    return node


def rebuilt(channel: Channel, text: str) -> Any:
    """A tree with this one text in it."""
    tree: Any = text
    for step in reversed(channel):
        tree = {step: tree} if isinstance(step, str) else [{**dict(step), **tree} if isinstance(tree, dict) else tree]
    return tree


def says_nothing(node: Any) -> bool:
    """Whether there is nothing in it but empty texts and what only accompanies them."""
    if isinstance(node, dict):
        return all(name in ("role", "type", "index") or says_nothing(value) for name, value in node.items())
    if isinstance(node, list):
        return all(map(says_nothing, node))
    return node is None or node == ""


def _element(value: Any, place: int) -> Step:
    # A tool call's type comes with its first piece only.
    name = next((name for name in ("index", "type") if isinstance(value, dict) and name in value), None)
    return ((name, value[name]),) if name is not None else (("index", place),)
