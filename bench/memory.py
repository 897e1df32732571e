"""Memory of a house's processes by role, from /proc (Linux). Called by `bench.scale`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import command_line, parent_of

ROLES = ("supervisor", "server", "control", "agent", "warehouse", "zygote", "replica", "other")
_MARKS = {
    "headgate.app server": "server",
    "headgate.app control": "control",
    "headgate.app warehouse": "warehouse",
    "headgate.app agent": "agent",
    "headgate.cli.main serve": "supervisor",
    "headgate_worker.worker": "replica",
}
_ZYGOTE = "headgate_worker.zygote"


@dataclass(frozen=True, slots=True)
class Share:
    """The processes of a role together, megabytes of 2**20."""

    processes: int = 0
    pss_mb: float = 0.0
    rss_mb: float = 0.0
    private_mb: float = 0.0
    """Pages nobody else has: what one process more costs."""

    def plus(self, other: Share) -> Share:
        return Share(
            *(mine + its for mine, its in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True))
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """By role."""

    shares: dict[str, Share]

    @property
    def total_mb(self) -> float:
        """PSS of everything."""
        return sum(share.pss_mb for share in self.shares.values())

    def of(self, role: str) -> Share:
        return self.shares.get(role, Share())

    def table(self) -> str:
        lines = [
            "  | role | processes | PSS MB | each | private MB each | RSS MB each |",
            "  | --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for role, share in self.shares.items():
            each = (value / share.processes for value in (share.pss_mb, share.private_mb, share.rss_mb))
            lines.append(
                f"  | {role} | {share.processes} | {share.pss_mb:.1f} | "
                + " | ".join(f"{value:.1f}" for value in each)
                + " |"
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        return {role: dataclasses.asdict(share) for role, share in self.shares.items()} | {
            "total_pss_mb": self.total_mb
        }


def by_role(pids: Iterable[int]) -> Memory:
    """What these processes use now; one that ends meanwhile is left out."""
    found: dict[str, Share] = {}
    for pid in pids:
        share = _share(pid)
        if share is not None:
            role = _role(pid)
            found[role] = found.get(role, Share()).plus(share)
    return Memory({role: found[role] for role in ROLES if role in found})


def _role(pid: int) -> str:
    line = command_line(pid)
    if _ZYGOTE in line:  # a replica that was forked has its zygote's command line
        return "replica" if _ZYGOTE in command_line(parent_of(pid)) else "zygote"
    return next((role for mark, role in _MARKS.items() if mark in line), "other")


def _share(pid: int) -> Share | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return Share(1, *(value / 1024 for value in (kilobytes["Pss"], kilobytes["Rss"], private)))
