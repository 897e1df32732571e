"""Nobody can tell which door a request went through, nor how its bytes were cut."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.gateway.bench import Bench, Run, entity
from tests.contract.gateway.wire import PATH, Wire, on, request
from tests.fakes.worker import FakeWorker

from headgate.gateway import http


@pytest.fixture
def door() -> str:
    """These tests choose their door themselves."""
    return ""


@pytest.mark.parametrize("first", [b"", request(b"before")])
def test_a_request_may_come_in_any_two_parts(tmp_path: Path, first: bytes, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        data = request(b"one") + request(b"two", headers={"accept": "*/*"})
        for cut in range(1, len(data)):
            wire = Wire(bench)
            before = 1 if first else 0
            if first:
                wire.send(first)
                await wire.answered(1)
            wire.send(data[:cut])
            wire.send(data[cut:])
            await wire.answered(before + 2)
            assert wire.bodies[before:] == [b"one", b"two"]
            wire.transport.lose()

    on(tmp_path, run, live)


ASKED = st.lists(
    st.builds(
        request,
        st.binary(max_size=40) | st.sampled_from([b'{"model":"churn"}', b'{"model":"nobody","stream":true}']),
        st.sampled_from(
            [
                PATH,
                PATH + "/",
                "/serving-endpoints/churn/served-models/churn-1/invocations",
                "/serving-endpoints/x/invocations",
                "/serving-endpoints/churn",
                "/serving-endpoints/churn/served-models/no/invocations",
                PATH + "?q=1",
                "/serving-endpoints/%63hurn/invocations",
                "/serving-endpoints/chat/completions",
                "/ai-gateway/openai/v1/embeddings?q=1",
                "/ai-gateway/anthropic/v1/messages/",
                "/ai-gateway/mlflow/v1/models",
                "/ai-gateway/x",
            ]
        ),
        method=st.sampled_from(["POST", "POST", "POST", "GET", "PUT"]),
        headers=st.fixed_dictionaries(
            {
                "authorization": st.sampled_from(["Bearer secret", "Bearer secret", "Bearer guest", "Bearer no", ""]),
                "content-type": st.sampled_from(["application/json", "text/csv", "", 'a/b; c="d"']),
            }
        ),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(asked=ASKED, cuts=st.lists(st.integers(1, 400), max_size=12))
def test_both_doors_give_the_same_answers_however_the_bytes_come(
    tmp_path_factory: pytest.TempPathFactory, asked: list[bytes], cuts: list[int]
) -> None:
    async def both() -> None:
        async with Bench(tmp_path_factory.mktemp("bench")) as bench:
            await bench.serve(entity(await bench.worker()))
            await bench.linked(1)
            data = b"".join(asked)
            told = []
            for make, parts in ((http.OneWriteProtocol, [data]), (bench.http, split(data, cuts)), (bench.http, asked)):
                wire = Wire(bench, make)
                for part in parts:
                    wire.send(part)
                await wire.answered(len(asked))
                told.append([_comparable(*answer) for answer in wire.answers])
                wire.transport.lose()
            assert told[0] == told[1] == told[2]

    asyncio.run(both())


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return [part for part in (*parts, data) if part]


def _comparable(status: int, headers: dict[str, str], body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without what is different every time: the order of headers counts."""
    request_id = headers.get("x-databricks-request-id", "")
    listed = [(name, "an id" if name == "x-databricks-request-id" else value) for name, value in headers.items()]
    return status, listed, body.replace(request_id.encode(), b"an id") if request_id else body
