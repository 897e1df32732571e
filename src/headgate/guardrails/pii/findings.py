"""What a recogniser found, and texts with it replaced. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Finding:
    """`text[start:end]` is of this kind; labels are Presidio's where it has one (`EMAIL_ADDRESS`). Of findings that overlap the higher rank names them."""

    start: int
    end: int
    label: str
    rank: int = 0


class Finder(Protocol):
    """The seam: whatever finds personal data. Built in (`recognisers.BuiltIn`), or Presidio (`presidio.Presidio`)."""

    def find(self, text: str) -> Sequence[Finding]:
        """What is in it, in order of place, none overlapping another. What it raises is a failure of the guardrail."""
        ...


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """In order of place; those that overlap become one over all they cover: nothing anybody recognised stays readable in part."""
    return joined(ordered(findings))


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """By place; of those that begin together the surest first."""
    return sorted(findings, key=lambda one: (one.start, -one.rank))


def joined(findings: Iterable[Finding]) -> list[Finding]:
    """The second half of `merged`."""
    found: list[Finding] = []
    for finding in findings:
        last = found[-1] if found else None
        if last is None or finding.start >= last.end:
            found.append(finding)
            continue
        name = finding if finding.rank > last.rank else last
        found[-1] = Finding(last.start, max(last.end, finding.end), name.label, name.rank)
    return found


def masked(text: str, findings: Sequence[Finding]) -> str:
    """Each finding replaced by its label: `Mail <EMAIL_ADDRESS>`. `findings` as `Finder.find` gives them."""
    pieces = []
    at = 0
    for finding in findings:
        pieces += [text[at : finding.start], f"<{finding.label}>"]
        at = finding.end
    return "".join([*pieces, text[at:]])
