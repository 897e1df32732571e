from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate import errors
from headgate.tracking import rewriting

ANSWER = json.dumps(
    {"run": {"info": {"artifact_uri": "dbfs:/databricks/mlflow-tracking/7/run/artifacts", "note": "dbfs: is not"}}}
).encode()


def to_proxied(pieces: list[bytes]) -> bytes:
    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def read() -> bytes:
        return b"".join([piece async for piece in rewriting.to_proxied(source())])

    return asyncio.run(read())


@given(st.lists(st.integers(0, len(ANSWER)), max_size=6))
def test_locations_are_rewritten_wherever_the_body_is_cut(cuts: list[int]) -> None:
    at = sorted({0, *cuts, len(ANSWER)})
    pieces = [ANSWER[start:end] for start, end in itertools.pairwise(at)]
    wanted = ANSWER.replace(b'"dbfs:/databricks/mlflow-tracking/', b'"mlflow-artifacts:/')
    assert to_proxied(pieces) == wanted


def test_there_and_back_is_the_same() -> None:
    assert rewriting.from_proxied(to_proxied([ANSWER])) == ANSWER


def test_who_needs_it_is_told_by_the_user_agent() -> None:
    assert rewriting.wants_proxied("mlflow-python-client/3.17.2")
    assert not rewriting.wants_proxied("unknown/0.0.0 databricks-sdk-py/0.156.0 python/3.11")
    assert not rewriting.wants_proxied("")


@pytest.mark.parametrize(
    ("path", "sent", "wanted"),
    [
        ("runs/create", {"user_id": "mallory"}, {"user_id": "ada"}),
        ("runs/create", {}, {"user_id": "ada"}),
        ("runs/set-tag", {"key": "mlflow.user", "value": "mallory"}, {"key": "mlflow.user", "value": "ada"}),
        ("runs/log-batch", {"tags": [{"key": "mlflow.user", "value": "mallory"}]}, {"tags": [{"key": "mlflow.user", "value": "ada"}]}),
    ],
)  # fmt: skip
def test_nobody_can_be_somebody_else(path: str, sent: object, wanted: object) -> None:
    assert json.loads(rewriting.checked_body(path, json.dumps(sent).encode(), "ada")) == wanted
    # However the letters are written.
    escaped = json.dumps(sent).replace("mlflow.user", "mlflow\\u002euser").encode()
    assert json.loads(rewriting.checked_body(path, escaped, "ada")) == wanted


def test_what_needs_no_change_passes_byte_for_byte() -> None:
    for path, body in (
        ("runs/log-batch", b'{"metrics": [{"value": NaN}]}'),
        ("runs/search", b"anything"),
        ("runs/set-tag", b'{"key":  "team"}'),
    ):
        assert rewriting.checked_body(path, body, "ada") == body


def test_a_metric_that_is_no_number_survives_a_change() -> None:
    body = b'{"metrics": [{"value": NaN}], "tags": [{"key": "mlflow.user", "value": "x"}]}'
    assert b'"value": NaN' in rewriting.checked_body("runs/log-batch", body, "ada")


@pytest.mark.parametrize("field", ["artifact_location", "artifactLocation"])
def test_artifacts_are_kept_nowhere_else(field: str) -> None:
    body = f'{{"name": "x", "{field}": "file:///etc"}}'.encode()
    with pytest.raises(errors.InvalidParameterValue, match="not kept here"):
        rewriting.checked_body("experiments/create", body, "ada")
    assert rewriting.checked_body("experiments/create", b'{"name": "x"}', "ada") == b'{"name": "x"}'


@pytest.mark.parametrize("body", [b"{", b"[]", b'"{}"', b"\xff", b"[" * 100_000], ids=len)
def test_what_is_no_object_is_refused_before_it_goes_on(body: bytes) -> None:
    with pytest.raises(errors.BadRequest):
        rewriting.checked_body("runs/create", body, "ada")
