from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from tests.unit.guardrails.scenes import PII_BLOCK, PII_MASK, ScriptedJudge, answer, chat, check_output, guard

from headgate.domain.request_record import BLOCKED, FAILED, MASKED, PASSED
from headgate.errors import BadRequest, MalformedRequest, TemporarilyUnavailable
from headgate.guardrails import answers, bodies
from headgate.guardrails.safety import CATEGORIES

CARD = "4111 1111 1111 1111"


class BrokenFinder:
    def find(self, text: str) -> list[Any]:
        raise RuntimeError(f"out of order, and the text was {text}")


def inner(refusal: Any) -> Any:
    assert isinstance(refusal, BadRequest)
    assert refusal.http_status == 400
    assert refusal.body()["error_code"] == "BAD_REQUEST"
    return orjson.loads(refusal.message)


def outcomes(checked: Any) -> list[tuple[str, str, str]]:
    return [(one.guardrail, one.outcome, one.detail) for one in checked.verdicts]


def test_blocked_input_is_answered_as_the_api_does() -> None:
    body = chat("Mail me at a@example.com", [{"type": "text", "text": f"pay {CARD}"}])
    checked = guard({"input": PII_BLOCK}).check_input(bodies.CHAT, body)
    assert inner(checked.refusal) == {
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
        "input_guardrail": [
            {
                "flagged": False,
                "categories": None,
                "category_scores": None,
                "pii_detection": True,
                "anonymized_input": [
                    {"role": "user", "content": "Mail me at <EMAIL_ADDRESS>"},
                    {"role": "user", "content": [{"type": "text", "text": "pay <CREDIT_CARD>"}]},
                ],
            }
        ],
        "finishReason": "input_guardrail_triggered",
    }
    assert outcomes(checked) == [("pii", BLOCKED, "CREDIT_CARD, EMAIL_ADDRESS")]


def test_masked_input_changes_nothing_but_what_is_masked() -> None:
    body = b'{ "temperature": 1.0,\n "messages" : [ {"role":"user","content":"I am \\u0061@example.com \\u00e9"} ], "x": 1e3 }'
    checked = guard({"input": PII_MASK}).check_input(bodies.CHAT, body)
    assert checked.body == body.replace(b'"I am \\u0061@example.com \\u00e9"', '"I am <EMAIL_ADDRESS> é"'.encode())
    assert checked.refusal is None
    assert outcomes(checked) == [("pii", MASKED, "EMAIL_ADDRESS")]


def test_what_is_clean_stays_byte_for_byte() -> None:
    body = b'{ "messages" :[{"content":"\\u0061"}] }'
    checked = guard({"input": {**PII_MASK, "invalid_keywords": ["bomb"]}}).check_input(bodies.CHAT, body)
    assert checked.body is body
    assert outcomes(checked) == [("pii", PASSED, ""), ("invalid_keywords", PASSED, "")]


def test_arguments_of_tools_stay_json() -> None:
    call = {
        "id": "1",
        "type": "function",
        "function": {"name": "pay", "arguments": '{"card": 4111111111111111, "to": "a@example.com"}'},
    }
    body = orjson.dumps(
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}
    )
    checked = asyncio.run(check_output(guard({"output": PII_MASK}), bodies.CHAT, body, chat("pay")))
    (masked,) = orjson.loads(checked.body)["choices"][0]["message"]["tool_calls"]
    assert orjson.loads(masked["function"]["arguments"]) == {"card": "<CREDIT_CARD>", "to": "<EMAIL_ADDRESS>"}


def test_masked_output_says_so_and_its_log_probabilities_tell_nothing() -> None:
    body = answer("It is a@example.com", logprobs={"content": [{"token": "a@example.com"}]})
    checked = asyncio.run(check_output(guard({"output": PII_MASK}), bodies.CHAT, body, chat("who")))
    tree = orjson.loads(checked.body)
    assert tree["output_guardrail"] == [{"pii_detection": True, "flagged": False}]
    assert tree["choices"][0]["message"]["content"] == "It is <EMAIL_ADDRESS>"
    assert b"example.com" not in checked.body
    assert tree["usage"] == {"prompt_tokens": 1}


def test_blocked_output_is_answered_as_the_api_does_and_shows_nothing_of_it() -> None:
    checked = asyncio.run(
        check_output(guard({"output": PII_BLOCK}), bodies.CHAT, answer("It is a@example.com"), chat("who"))
    )
    said = inner(checked.refusal)
    assert said["finishReason"] == "output_guardrail_triggered"
    assert said["output_guardrail"] == [
        {"flagged": False, "categories": None, "category_scores": None, "pii_detection": True}
    ]


@pytest.mark.parametrize(
    ("kind", "body"),
    [(bodies.COMPLETIONS, {"prompt": ["x", "b@example.com"]}), (bodies.EMBEDDINGS, {"input": "b@example.com"})],
)
def test_prompts_and_embedded_texts_are_checked(kind: str, body: dict[str, Any]) -> None:
    encoded = orjson.dumps(body)
    assert b"<EMAIL_ADDRESS>" in guard({"input": PII_MASK}).check_input(kind, encoded).body
    said = inner(guard({"input": PII_BLOCK}).check_input(kind, encoded).refusal)
    assert "<EMAIL_ADDRESS>" in said["input_guardrail"][0]["anonymized_input"][0]["content"]


def test_token_ids_cannot_be_checked_and_are_refused() -> None:
    checked = guard({"input": PII_MASK}).check_input(bodies.COMPLETIONS, b'{"prompt": [1, 2, 3]}')
    assert isinstance(checked.refusal, BadRequest) and "token ids" in checked.refusal.message


def test_keywords_of_the_application_itself_do_not_count() -> None:
    checks = guard({"input": {"invalid_keywords": ["bomb"]}})
    system = orjson.dumps(
        {"messages": [{"role": "system", "content": "Never speak of a bomb."}, {"role": "user", "content": "hi"}]}
    )
    assert checks.check_input(bodies.CHAT, system).refusal is None
    refused = checks.check_input(bodies.CHAT, chat("a BOMB"))
    assert inner(refused.refusal)["input_guardrail"][0]["invalid_keywords"] is True
    assert outcomes(refused) == [("invalid_keywords", BLOCKED, "bomb")]


@pytest.mark.parametrize("body", [b"{", b"[]", b"1"])
def test_what_is_no_object_is_refused_before_it_is_checked(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        guard({"input": PII_MASK}).check_input(bodies.CHAT, body)


def test_the_judge_is_asked_after_the_cheap_checks_and_sees_what_they_masked() -> None:
    judge = ScriptedJudge()
    checks = guard({"input": {**PII_MASK, "safety": True, "invalid_keywords": ["bomb"]}}, judge)
    assert checks.check_input(bodies.CHAT, chat("bomb poison")).question is None
    checked = checks.check_input(bodies.CHAT, chat("poison for a@example.com"))
    assert checked.refusal is None and checked.question is not None
    asked = asyncio.run(checks.ask(checked.question))
    assert judge.asked[-1]["messages"] == [{"role": "user", "content": "poison for <EMAIL_ADDRESS>"}]
    (result,) = inner(asked.refusal)["input_guardrail"]
    assert result["flagged"] is True and result["pii_detection"] is False
    assert result["categories"] == {name: name == "indiscriminate-weapons" for name in CATEGORIES.values()}
    assert outcomes(asked) == [("safety", BLOCKED, "indiscriminate-weapons")]


def test_every_choice_of_an_answer_is_judged_after_what_was_asked() -> None:
    judge = ScriptedJudge()
    checks = guard({"output": {"safety": True}}, judge)
    checked = asyncio.run(check_output(checks, bodies.CHAT, answer("fine", "take poison"), chat("what now?")))
    assert [asked["messages"] for asked in judge.asked] == [
        [{"role": "user", "content": "what now?"}, {"role": "assistant", "content": content}]
        for content in ("fine", "take poison")
    ]
    assert inner(checked.refusal)["output_guardrail"][0]["flagged"] is True


@pytest.mark.parametrize(("on_failure", "refused"), [("closed", True), ("open", False)])
def test_a_guardrail_that_fails_is_recorded_and_closed_or_open_as_configured(on_failure: str, refused: bool) -> None:
    async def broken(_: bytes) -> bytes:
        raise ConnectionError("secret")

    checks = guard({"input": {**PII_MASK, "safety": True}}, broken, finder=BrokenFinder(), on_failure=on_failure)
    checked = checks.check_input(bodies.CHAT, chat("hi"))
    assert outcomes(checked) == [("pii", FAILED, "RuntimeError")]
    assert isinstance(checked.refusal, TemporarilyUnavailable) == refused
    if not refused:
        assert checked.question is not None
        asked = asyncio.run(checks.ask(checked.question))
        assert outcomes(asked) == [("safety", FAILED, "ConnectionError")] and asked.refusal is None


def test_a_shadow_records_and_does_nothing() -> None:
    side = {**PII_BLOCK, "invalid_keywords": ["bomb"], "safety": True}
    checks = guard({"input": side, "output": side}, ScriptedJudge(), shadow=True)
    body = chat("a bomb and poison for a@example.com")
    checked = checks.check_input(bodies.CHAT, body)
    assert checked.body is body and checked.refusal is None and checked.question is not None
    asked = asyncio.run(checks.ask(checked.question))
    assert asked.refusal is None
    said = answer("a bomb and poison for a@example.com")
    out = asyncio.run(check_output(checks, bodies.CHAT, said, body))
    assert out.body is said and out.refusal is None
    assert [one[:2] for one in outcomes(out)] == [("pii", BLOCKED), ("invalid_keywords", BLOCKED), ("safety", BLOCKED)]
    assert all(one.shadow for one in (*checked.verdicts, *asked.verdicts, *out.verdicts))


def test_a_guardrail_endpoint_of_ones_own_is_spoken_to_in_the_previews_shapes() -> None:
    assert orjson.loads(answers.custom_request([{"role": "user", "content": "x"}], "output", "full")) == {
        "messages": [{"role": "user", "content": "x"}],
        "mode": {"phase": "output", "stream_mode": "full"},
    }
    rejected = {
        "decision": "reject",
        "reject_message": "no",
        "guardrail_response": {"include_in_response": True, "response": {"a": 1}, "finishReason": "f"},
    }
    for body in (rejected, {"predictions": rejected}, {"predictions": [rejected]}):
        assert answers.custom_decision(orjson.dumps(body)) == answers.Decision(True, "no", {"a": 1}, "f")
    assert not answers.custom_decision(b'{"decision":"proceed"}').rejected
    for garbage in (b"x", b"{}", b'{"decision":"maybe"}', b"[]"):
        with pytest.raises(ValueError):
            answers.custom_decision(garbage)
