"""Answers of models of our own in a dialect their authors did not write. Asked by `stages.call_replica`; what models say is not trusted to have any shape."""

from __future__ import annotations

from headgate.errors import BadRequest
from headgate.gateway.call import Call, Chunks
from headgate.gateway.dialects.port import Dialect
from headgate.wire.sse import NotEvents

_OTHER_SHAPES = (KeyError, IndexError, TypeError, AttributeError, ValueError, NotEvents)


def whole(dialect: Dialect, body: bytes) -> bytes:
    """A complete answer. Raises BadRequest when it is no chat completion."""
    try:
        return dialect.answer(body)
    except _OTHER_SHAPES as error:
        raise _no_completion() from error


class Spoken:
    """A stream of events on its way to the client, who hears in his dialect what went wrong as well."""

    __slots__ = ("_call", "_chunks", "_failed", "_writer")

    def __init__(self, call: Call, dialect: Dialect, chunks: Chunks) -> None:
        self._call = call
        self._chunks = chunks
        self._writer = dialect.stream()
        self._failed = False

    def __aiter__(self) -> Spoken:
        return self

    async def __anext__(self) -> bytes:
        while not self._failed:
            came = await self._chunks.__anext__()
            try:
                said = b"".join(self._writer.feed([came]))
            except _OTHER_SHAPES:
                self._failed = True
                error = _no_completion()
                self._call.failure, self._call.complete = error.http_status, False
                return self._writer.failed(error)
            if said:
                return said
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._chunks.aclose()


def _no_completion() -> BadRequest:
    return BadRequest(
        "The model answered something that is no chat completion, so it cannot be said in the dialect of this route. "
        "Ask it at POST /serving-endpoints/{name}/invocations."
    )
