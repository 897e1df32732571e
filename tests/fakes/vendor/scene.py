"""What the model behind the fake vendor says, in nobody's dialect; and what a dialect is: a vendor's way to hear requests and say scenes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson

from headgate.domain.usage import Usage
from headgate.providers.port import Outgoing


@dataclass(frozen=True)
class ToolCall:
    """`arguments` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Said:
    """One choice. `finish` as the middle language calls it: stop, length, tool_calls, content_filter."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    finish: str = "stop"


A_LITTLE = Usage(11, 9)


@dataclass(frozen=True)
class Scene:
    """One answer of the model."""

    choices: tuple[Said, ...] = (Said("Hello, wide world."),)
    usage: Usage = A_LITTLE
    embeddings: tuple[tuple[float, ...], ...] = ((0.5, -0.25, 0.125),)
    model: str = "the-model-2026-01-01"


@dataclass(frozen=True)
class Heard:
    """A request as it arrived. Header names in lower case; `path` with the query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(orjson.loads(self.body))

    @property
    def route(self) -> str:
        """The path without the query."""
        return urlsplit(self.path).path


@dataclass(frozen=True)
class Reply:
    """What the vendor answers. A stream has a piece per event."""

    pieces: tuple[bytes, ...]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class Dialect(Protocol):
    """A vendor's API. As strict as the real one: what that refuses (unknown fields, no credentials) is refused here."""

    name: str

    def claims(self, heard: Heard) -> bool:
        """Whether a request is in this dialect, by its path."""
        ...

    def reply(self, heard: Heard, scene: Scene) -> Reply:
        """The scene as this vendor says it, streamed if that was asked; or a refusal."""
        ...

    def refusal(self, status: int, message: str) -> Reply:
        """This vendor's way to say no. `message` occurs in it."""
        ...


def heard(outgoing: Outgoing) -> Heard:
    """What a vendor hears of what we send."""
    where = urlsplit(outgoing.url)
    headers = {name.decode(): value.decode() for name, value in outgoing.headers}
    path = where.path + (f"?{where.query}" if where.query else "")
    return Heard(outgoing.method, path, {"host": where.netloc, **headers}, outgoing.body)


def parts(text: str) -> list[str]:
    """A text as a model streams it: a word at a time, spaces kept."""
    words = text.split(" ")
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)] if text else []
