"""Every vendor, every row of the matrix: asked in the middle language, answered in it. What a vendor cannot do is refused by name."""

from __future__ import annotations

import dataclasses
import itertools
import re

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.providers import reading
from tests.contract.providers.cases import CASES, Case
from tests.contract.providers.rows import Row, rows
from tests.fakes.vendor.scene import Heard, Reply, Said, Scene, heard

from headgate.errors import HeadgateError, InvalidParameterValue
from headgate.providers.port import CHAT, EMBEDDINGS, BadAnswer, Outgoing, Request, StreamReader

ROWS = rows()
NOW_S = 1_760_000_000.0

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
pairs = [
    pytest.param(row, case, id=f"{row.name}: {name}")
    for row in ROWS
    for name, case in CASES.items()
    if name not in row.unsayable
]
NAMED = {
    "parallel_tools": "parallel_tool_calls",
    "images": "image_url",
    "structured_output": "json_schema",
    "reasoning": "reasoning_effort",
    "n": "support n:",
    "penalties": "frequency_penalty",
}
"""What a refusal calls what is lacking, where it is not the flag itself."""
streamed_pairs = [pair for pair in pairs if pair.values[1].task != EMBEDDINGS]  # type: ignore[union-attr]


def lacks(row: Row, case: Case) -> list[str]:
    """What the vendor would need for this case and has not."""
    able = row.provider.capabilities
    return [flag for flag in case.needs if not getattr(able, flag)] + ([] if case.task in able.tasks else [case.task])


def prepare(row: Row, case: Case, stream: bool = False) -> Outgoing:
    body = {"model": "the-endpoint", **case.body, **({"stream": True} if stream else {})}
    return row.provider.prepare(row.target(case.task), Request(orjson.dumps(body), stream), row.credential, NOW_S)


def reply(row: Row, case: Case, stream: bool = False) -> Reply:
    """What the vendor answers to what we send: it must like it."""
    request = heard(prepare(row, case, stream))
    assert row.dialect.claims(request), request.path
    answered = row.dialect.reply(request, case.scene)
    assert answered.status == 200, answered.body
    return answered


def expected(row: Row, case: Case) -> list[Said]:
    choices = case.scene.choices[: case.body.get("n", 1)]
    return choices if row.shows_reasoning else [dataclasses.replace(choice, reasoning="") for choice in choices]  # type: ignore[return-value]


def told(row: Row, scene: Scene):
    """The scene's usage, as far as this vendor says it."""
    silent = {"cached_tokens", "cache_creation_tokens", "reasoning_tokens"} - row.tells
    return dataclasses.replace(scene.usage, **dict.fromkeys(silent, 0))


def same(row: Row, got: list[Said], wanted: list[Said]) -> None:
    """Compares choices; arguments as JSON, call ids only where the vendor has them."""

    def plain(said: Said) -> Said:
        calls = tuple(
            dataclasses.replace(
                call,
                id=call.id if row.keeps_call_ids else "",
                arguments=orjson.dumps(orjson.loads(call.arguments)).decode(),
            )
            for call in said.tool_calls
        )
        return dataclasses.replace(said, tool_calls=calls)

    if not row.keeps_call_ids:
        ids = [call.id for said in got for call in said.tool_calls]
        assert all(ids) and len(set(ids)) == len(ids), "each call needs an id of its own"
    assert [plain(said) for said in got] == [plain(said) for said in wanted]


@pytest.mark.parametrize(("row", "case"), pairs)
def test_what_a_vendor_can_do_comes_back_whole_and_the_rest_is_refused_by_name(row: Row, case: Case):
    if lacks(row, case):
        with pytest.raises(InvalidParameterValue) as refused:
            prepare(row, case)
        assert NAMED.get(lacks(row, case)[0], lacks(row, case)[0]) in refused.value.message
        return
    answer = row.provider.answer(row.target(case.task), reply(row, case).body)
    body = orjson.loads(answer.body)
    assert answer.usage == told(row, case.scene)
    assert reading.usage(body) == answer.usage
    if case.task == EMBEDDINGS:
        assert body["object"] == "list"
        asked = case.body["input"] if isinstance(case.body["input"], list) else [case.body["input"]]
        vectors = case.scene.embeddings[: len(asked)]
        assert [item["embedding"] for item in body["data"]] == [list(vector) for vector in vectors]
        assert [(item["object"], item["index"]) for item in body["data"]] == [
            ("embedding", i) for i in range(len(vectors))
        ]
        return
    assert body["object"] == ("chat.completion" if case.task == CHAT else "text_completion")
    assert body["id"] and body["model"] and isinstance(body["created"], int)
    same(row, reading.said(body), expected(row, case))


@pytest.mark.parametrize("asked_for_usage", [False, True], ids=["", "with usage"])
@pytest.mark.parametrize(("row", "case"), streamed_pairs)
def test_a_stream_says_the_same_however_it_is_cut(row: Row, case: Case, asked_for_usage: bool):
    if asked_for_usage:
        case = dataclasses.replace(case, body={**case.body, "stream_options": {"include_usage": True}})
    if lacks(row, case) or not row.streams(case.body):
        with pytest.raises(InvalidParameterValue):
            prepare(row, case, stream=True)
        return
    whole = reply(row, case, stream=True).body
    for size in (len(whole), 1, 7, 100):
        reader = row.provider.stream(row.target(case.task), asked_for_usage)
        out = [event for at in range(0, len(whole), size) for event in reader.feed(whole[at : at + size])]
        out += reader.end()
        found = reading.events(out)
        assert found[-1] == reading.DONE and found.count(reading.DONE) == 1
        assert reader.complete and reader.failure is None
        chunks = [reading.payload(event) for event in found[:-1]]
        same(row, reading.streamed(chunks), expected(row, case))
        assert reader.usage == told(row, case.scene)
        assert len({(chunk["id"], chunk["model"]) for chunk in chunks}) == 1
        alone = [chunk for chunk in chunks if not chunk["choices"] and chunk.get("usage")]
        assert not alone or asked_for_usage
        if asked_for_usage:
            assert [reading.usage(chunk) for chunk in chunks if reading.usage(chunk)][-1] == reader.usage


def _whole_stream(row: Row) -> bytes:
    return reply(row, CASES["text"], stream=True).body


@every_row
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cuts=st.lists(st.integers(min_value=0, max_value=10_000), max_size=30))
def test_chunk_boundaries_do_not_matter(row: Row, cuts: list[int]):
    whole = _whole_stream(row)
    at = sorted({cut % len(whole) for cut in cuts} | {0, len(whole)})
    reader = row.provider.stream(row.target(CHAT), True)
    out = [event for start, end in itertools.pairwise(at) for event in reader.feed(whole[start:end])] + reader.end()
    one = row.provider.stream(row.target(CHAT), True)
    assert _comparable(reading.events(out)) == _comparable(reading.events([*one.feed(whole), *one.end()]))


def _comparable(found: list[bytes]) -> list[bytes]:
    """Without what an adapter may make up for each stream."""
    return [re.sub(rb'"(id|created)":("[^"]*"|\d+)', b"", event) for event in found]


@every_row
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_stream_that_ends_early_is_an_error_and_never_done(row: Row, data: st.DataObject):
    whole = _whole_stream(row)
    cut = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
    reader = row.provider.stream(row.target(CHAT), False)
    found = reading.events([*reader.feed(whole[:cut]), *reader.end()])
    if reader.complete:
        # The vendor's last word was there: what is missing is framing, or usage of a vendor that says it last.
        assert found[-1] == reading.DONE
        same(row, reading.streamed(reading.payload(event) for event in found[:-1]), expected(row, CASES["text"]))
        return
    assert reading.DONE not in found
    last = reading.payload(found[-1])
    assert last["error"]["message"] == last["message"] and last["error_code"]
    assert reader.failure is not None and reader.failure.retryable
    assert reader.feed(whole[cut:]) == [] and reader.end() == []


@every_row
def test_first_content_is_told_when_a_client_could_show_something(row: Row):
    reader: StreamReader = row.provider.stream(row.target(CHAT), False)
    whole = _whole_stream(row)
    assert not reader.first_content
    for at in range(len(whole)):
        text = "".join(said.text for event in reading.events(reader.feed(whole[at : at + 1])) if event != reading.DONE
                       for said in reading.streamed([reading.payload(event)]))  # fmt: skip
        assert not text or reader.first_content
        if reader.first_content:
            assert text
            return
    raise AssertionError("there was content")


@every_row
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(noise=st.one_of(st.binary(max_size=300), st.lists(st.binary(max_size=40)).map(lambda lines: b"".join(b"data: " + line + b"\n\n" for line in lines)),
                       st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["choices", "delta", "usage", "error", "message", "type", "content", "data", "index"]), inner), max_leaves=8)
                       .map(lambda value: b"data: " + orjson.dumps(value, default=str, option=orjson.OPT_PASSTHROUGH_DATACLASS) + b"\n\n" if _fits(value) else b"")))  # fmt: skip
def test_garbage_is_a_failure_and_never_an_exception(row: Row, noise: bytes):
    reader = row.provider.stream(row.target(CHAT), False)
    found = reading.events([*reader.feed(noise), *reader.end()])
    assert reader.complete == (reading.DONE in found)
    assert reader.complete or reader.failure is not None
    with pytest.raises(BadAnswer):
        row.provider.answer(row.target(CHAT), b"<html>" + noise)


def _fits(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


SHOWN = {
    400: 400,
    401: 401,
    403: 403,
    404: 404,
    409: 409,
    413: 400,
    422: 400,
    429: 429,
    500: 500,
    502: 503,
    503: 503,
    504: 504,
    529: 503,
}


@every_row
@pytest.mark.parametrize("status", SHOWN)
def test_a_refusal_keeps_its_meaning_and_hides_credentials(row: Row, status: int):
    said = row.dialect.refusal(
        status, "the reason, not sk-secret" if status != 401 else "Incorrect API key provided: sk-secret"
    )
    headers = {name.encode(): value.encode() for name, value in said.headers.items()}
    failure = row.provider.failure(said.status, {**headers, b"retry-after": b"7"}, said.body)
    assert failure.status == SHOWN[status]
    assert failure.retryable == (failure.status == 429 or failure.status >= 500)
    assert failure.retry_after_s == (7.0 if failure.retryable else None)
    if status == 401:
        assert "sk-secret" not in failure.message and "credentials" in failure.message
    else:
        assert "the reason" in failure.message


@every_row
@pytest.mark.parametrize(
    "body", [b"", b"<html>busy</html>", b"\xff\xfe", b"[]", b'"no"', b"{", b'{"error":7}', b'{"message":null}']
)
def test_any_refusal_is_understood(row: Row, body: bytes):
    failure = row.provider.failure(500, {b"retry-after": b"soon"}, body)
    assert failure.retryable and failure.retry_after_s is None and len(failure.message) > 10


@every_row
def test_secrets_travel_in_headers_only_and_show_in_no_representation(row: Row):
    target = row.target(CHAT)
    outgoing = prepare(row, CASES["text"])
    for secret in row.secrets:
        assert secret not in outgoing.url and secret.encode() not in outgoing.body
        assert secret not in repr((target, outgoing, row.credential))


@every_row
def test_extra_parameters_reach_the_vendor_and_cannot_set_what_the_endpoint_governs(row: Row):
    case = CASES["text"]
    sent = prepare(row, dataclasses.replace(case, body={**case.body, "extra_params": dict(row.extra)}))
    body = orjson.loads(sent.body)
    for key, value in row.extra.items():
        assert _somewhere(body, key, value), body
    for governed in ("model", "messages", "stream", "n", "max_tokens"):
        with pytest.raises(InvalidParameterValue, match=governed):
            prepare(row, dataclasses.replace(case, body={**case.body, "extra_params": {governed: 1}}))


def _somewhere(value: object, key: str, wanted: object) -> bool:
    if isinstance(value, dict):
        return value.get(key) == wanted or any(_somewhere(inner, key, wanted) for inner in value.values())
    return isinstance(value, list) and any(_somewhere(inner, key, wanted) for inner in value)


@every_row
@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'"text"', b'{"messages": [}', b'{"messages": "hi"}', b'{"messages": 7, "model": 3}', b"\xff"],
)
def test_malformed_requests_are_answers_not_exceptions(row: Row, body: bytes):
    try:
        row.provider.prepare(row.target(CHAT), Request(body), row.credential, NOW_S)
    except HeadgateError as error:
        assert error.http_status == 400


@every_row
def test_a_parsed_request_is_sent_like_its_bytes(row: Row):
    body = {"model": "the-endpoint", **CASES["text"].body}
    target = row.target(CHAT)
    parsed = row.provider.prepare(target, Request(body), row.credential, NOW_S)
    as_bytes = row.provider.prepare(target, Request(orjson.dumps(body)), row.credential, NOW_S)
    assert orjson.loads(parsed.body) == orjson.loads(as_bytes.body)
    assert parsed.url == as_bytes.url
    assert isinstance(heard(parsed), Heard)
