"""Guardrails beside a vendor's answer: nothing leaves before they have said yes, and after a no nothing is asked any more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.contract.gateway.bench import Run, until
from tests.contract.gateway.vendors.outside import HELLO, SAID, Outside, events_of, outside, text_of

from headgate import errors
from headgate.gateway.call import Call
from headgate.gateway.stages import guard
from headgate.wire import sse

NO = errors.BadRequest("That is nothing to talk about.")


class Watcher:
    """`guarding.Guarding` and `guarding.GuardedStream`: the verdict on the request comes when told, of the answer a word is refused."""

    def __init__(self) -> None:
        self.asks = False
        self.checks_output = False
        self.verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.refused_word = b""
        self.refusal: errors.HeadgateError | None = None
        self.closed = False

    async def passed(self) -> None:
        await asyncio.shield(self.verdict)

    async def whole(self, body: bytes) -> bytes:
        if self.refused_word and self.refused_word in body:
            raise NO
        return body.replace(b"wide", b"****")

    def stream(self) -> Watcher:
        return self

    @property
    def refused(self) -> bool:
        return self.refusal is not None

    async def feed(self, chunk: bytes) -> bytes:
        if self.refused_word and self.refused_word in chunk:
            self.refusal = NO
            return sse.error_event(NO)
        return chunk.replace(b"wide", b"****")

    async def end(self) -> bytes:
        return b""

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Watcher]:
    """Every request is guarded by the last of these."""
    watchers: list[Watcher] = []

    def enter(_step: guard.Guard, call: Call) -> None:
        call.guarding = watchers[-1]

    monkeypatch.setattr(guard.Guard, "__call__", enter)
    return watchers


def _watcher(watched: list[Watcher], **said: object) -> Watcher:
    watched.append(Watcher())
    for name, value in said.items():
        setattr(watched[-1], name, value)
    return watched[-1]


async def _served(out: Outside) -> None:
    await out.serve(out.entity("first", 100), out.entity("second", 0))


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_leaves_before_the_verdict(run: Run, tmp_path: Path, watched: list[Watcher], stream: bool) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            watcher = _watcher(watched, asks=True)
            await _served(out)
            client = out.send({**HELLO, "stream": stream})
            await until(lambda: out.heard("first") == 1 and not out.script("first").busy)
            assert client.response.status == 0 and not client.response.body
            watcher.verdict.set_result(None)
            assert text_of(await client.done()) == SAID
            await until(lambda: watcher.closed)

    run(main())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("slow", [False, True])
def test_a_refusal_cancels_the_vendor(
    run: Run, tmp_path: Path, watched: list[Watcher], stream: bool, slow: bool
) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            watcher = _watcher(watched, asks=True)
            script = out.act(
                "first", **({"delay_s": 600.0} if slow else {"pause_s": 600.0, "pause_from": 4} if stream else {})
            )
            await _served(out)
            client = out.send({**HELLO, "stream": stream})
            await until(lambda: script.count == 1)
            watcher.verdict.set_exception(NO)
            response = await client.done()
            assert (response.status, response.json()["message"]) == (400, NO.message)
            await until(lambda: not script.busy)
            assert script.left == (1 if slow or stream else 0) and out.heard("second") == 0
            assert out.call.status == 400 and watcher.closed

    run(main())


def test_a_vendor_that_fails_does_not_tell_before_the_verdict(run: Run, tmp_path: Path, watched: list[Watcher]) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            watcher = _watcher(watched, asks=True)
            out.act("first", status=503)
            out.act("second", status=503)
            await _served(out)
            client = out.send(HELLO)
            await until(lambda: out.heard("second") == 1 and not out.script("second").busy)
            watcher.verdict.set_exception(NO)
            assert (await client.done()).status == 400

    run(main())


def test_answers_are_looked_at_and_changed(run: Run, tmp_path: Path, watched: list[Watcher]) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            _watcher(watched, checks_output=True)
            await _served(out)
            assert text_of(await out.ask()) == "Hello, **** world." == text_of(await out.stream())
            _watcher(watched, checks_output=True, refused_word=b"world")
            response = await out.ask()
            assert (response.status, response.json()["message"]) == (400, NO.message)
            assert out.heard("second") == 0, "the answer was one"

    run(main())


def test_a_refusal_in_the_middle_of_a_stream_ends_the_vendors_work(
    run: Run, tmp_path: Path, watched: list[Watcher]
) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            _watcher(watched, checks_output=True, refused_word=b"wide")
            script = out.act("first", pause_s=0.02)
            await _served(out)
            response = await out.stream()
            assert response.status == 200 and b"[DONE]" not in response.body and text_of(response) == "Hello,"
            assert events_of(response)[-1]["error"]["message"] == NO.message
            await until(lambda: script.left == 1 and out.call.status == 400)
            assert out.call.error_code == "BAD_REQUEST" and not out.call.complete

    run(main())
