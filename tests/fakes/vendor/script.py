"""What goes wrong at the fake vendor: acts, one per request, and scripts of them, which other processes write as JSON."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.vendor.scene import Heard, Said, Scene, ToolCall

from headgate.domain.usage import Usage

_MOST_HEARD = 4000
"""Requests remembered; of a load the last ones."""


@dataclass(frozen=True)
class Act:
    """How one request is answered. All as it should be, unless said otherwise."""

    scene: Scene = field(default_factory=Scene)
    status: int = 200
    """Another status is refused in the vendor's dialect, with `message`."""
    message: str = "something is wrong"
    headers: Mapping[str, str] = field(default_factory=dict)
    """More of them, e.g. `{"retry-after": "2"}`."""
    body: bytes | None = None
    """Sent in the place of the answer: garbage."""
    damage: int | None = None
    """The answers of these requests are damaged by chance, each by the next seed; this is the first."""
    delay_s: float = 0.0
    """Before anything is sent. A long one is a vendor that takes requests and says nothing."""
    pause_s: float = 0.0
    """Before each piece but the first: a slow drip."""
    pause_from: int = 1
    """The first piece that is paused before."""
    hold_from: int | None = None
    """The first piece that is sent only once the vendor was told to go on; -1: not even the head."""
    piece_bytes: int = 0
    """Pieces of this size in the place of one per event."""
    hang_up_after_bytes: int | None = None
    """The connection breaks when so many bytes of the body were sent; -1 before the head."""
    hang_up_after_pieces: int | None = None
    """The connection breaks when so many pieces of the body were sent; 0 after the head."""


class Script:
    """What one of the vendors that this process plays does and did. `acts` are played one per request, then `act` again and again."""

    def __init__(self, act: Act | None = None) -> None:
        self.act = act or Act()
        self.acts: deque[Act] = deque()
        self.heard: list[Heard] = []
        self.count = 0
        """Requests heard, also those that are not remembered any more."""
        self.left = 0
        """Requests whose client went away before the answer was out."""
        self.busy = 0
        """Requests being answered."""
        self.going_on = False
        """What was held is sent."""

    def next(self, heard: Heard) -> Act:
        """How this request is answered."""
        self.count += 1
        self.heard.append(heard)
        if len(self.heard) > _MOST_HEARD:
            del self.heard[: _MOST_HEARD // 2]
        return self.acts.popleft() if self.acts else self.act

    def told(self) -> dict[str, Any]:
        """For another process; bodies as text."""
        heard = [
            {
                "method": one.method,
                "path": one.path,
                "headers": one.headers,
                "body": one.body.decode("utf-8", "replace"),
            }
            for one in self.heard
        ]
        return {"left": self.left, "busy": self.busy, "count": self.count, "heard": heard}


def act_of(said: Mapping[str, Any]) -> Act:
    """An act from JSON, for a vendor in another process."""
    told = dict(said)
    if "scene" in told:
        scene = dict(told["scene"])
        scene["choices"] = tuple(_said(one) for one in scene.get("choices", [{"text": "Hello."}]))
        if "usage" in scene:
            scene["usage"] = Usage(**scene["usage"])
        if "embeddings" in scene:
            scene["embeddings"] = tuple(tuple(vector) for vector in scene["embeddings"])
        told["scene"] = Scene(**scene)
    if isinstance(told.get("body"), str):
        told["body"] = told["body"].encode()
    return Act(**told)


def _said(one: Mapping[str, Any]) -> Said:
    calls = tuple(ToolCall(**call) for call in one.get("tool_calls", ()))
    return Said(**{**one, "tool_calls": calls})
