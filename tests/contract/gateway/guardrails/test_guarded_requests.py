"""Guardrails on whole requests and answers, over HTTP to a vendor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateway.bench import Run
from tests.contract.gateway.guardrails.guarded import (
    MAIL,
    PII_BLOCK,
    PII_MASK,
    chat,
    guard,
    on,
    saying,
    verdicts,
)
from tests.contract.gateway.vendors.outside import Outside, text_of

from headgate.domain.request_record import BLOCKED, MASKED, PASSED
from headgate.gateway import watching
from headgate.providers.port import EMBEDDINGS


def test_a_request_with_personal_data_is_refused_before_anybody_is_asked(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"input": PII_BLOCK})
        answer = await out.ask(chat(f"Write to {MAIL}, card 4111 1111 1111 1111"))
        assert answer.status == 400 and answer.json()["error_code"] == "BAD_REQUEST"
        assert json.loads(answer.json()["message"]) == {
            "usage": {"prompt_tokens": 0, "total_tokens": 0},
            "input_guardrail": [
                {
                    "flagged": False,
                    "categories": None,
                    "category_scores": None,
                    "pii_detection": True,
                    "anonymized_input": [{"role": "user", "content": "Write to <EMAIL_ADDRESS>, card <CREDIT_CARD>"}],
                }
            ],
            "finishReason": "input_guardrail_triggered",
        }
        assert out.heard("vendor") == 0
        assert verdicts(out) == [("pii", "input", BLOCKED)]
        assert out.bench.metric(
            'headgate_guardrail_verdicts_total{guardrail="pii",mode="enforced",outcome="blocked",phase="input"}'
        )

    on(tmp_path, run, live)


def test_a_masked_request_differs_in_nothing_else(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"input": PII_MASK})
        answer = await out.ask(chat(f"Write to {MAIL}", temperature=0.25, tools=[], user="someone"))
        assert answer.status == 200
        sent = out.script("vendor").heard[0].json
        assert sent == {
            **chat("Write to <EMAIL_ADDRESS>", temperature=0.25, tools=[], user="someone"),
            "model": "model-of-vendor",
        }
        assert verdicts(out) == [("pii", "input", MASKED)]

    on(tmp_path, run, live)


def test_a_long_request_is_checked_in_a_thread(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"input": PII_MASK})
        answer = await out.ask(chat("x " * watching.AT_ONCE_BYTES + MAIL))
        assert answer.status == 200
        assert out.script("vendor").heard[0].json["messages"][0]["content"].endswith("x <EMAIL_ADDRESS>")

    on(tmp_path, run, live)


def test_an_answer_is_masked_and_says_so(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"output": PII_MASK})
        out.act("vendor", scene=saying(f"Ask {MAIL}"))
        answer = await out.ask()
        assert text_of(answer) == "Ask <EMAIL_ADDRESS>"
        assert answer.json()["output_guardrail"] == [{"pii_detection": True, "flagged": False}]
        assert answer.json()["usage"]["total_tokens"] == 20
        assert verdicts(out) == [("pii", "output", MASKED)]

    on(tmp_path, run, live)


@pytest.mark.parametrize(
    ("guards", "result"),
    [(PII_BLOCK, {"pii_detection": True}), ({"invalid_keywords": ["example"]}, {"invalid_keywords": True})],
)
def test_an_answer_that_may_not_leave_is_a_refusal(
    tmp_path: Path, run: Run, guards: dict[str, Any], result: dict[str, Any]
) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"output": guards})
        out.act("vendor", scene=saying(f"Ask {MAIL}"))
        answer = await out.ask()
        assert answer.status == 400
        told = json.loads(answer.json()["message"])
        assert told["finishReason"] == "output_guardrail_triggered"
        assert result.items() <= told["output_guardrail"][0].items()
        assert "anonymized_input" not in told["output_guardrail"][0]
        assert out.call.usage is not None and len(out.call.attempts) == 1, "it was answered, and paid for"

    on(tmp_path, run, live)


def test_keywords_are_looked_for_in_what_users_say(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"input": {"invalid_keywords": ["Project Falcon"]}})
        system = {"role": "system", "content": "Never mention project falcon"}
        assert (await out.ask({"messages": [system, {"role": "user", "content": "hi"}]})).status == 200
        assert verdicts(out) == [("invalid_keywords", "input", PASSED)]
        answer = await out.ask(chat("what of PROJECT  falcon?"))
        assert answer.status == 400
        assert json.loads(answer.json()["message"])["input_guardrail"][0]["invalid_keywords"] is True

    on(tmp_path, run, live)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_messages_are_guarded_whatever_the_vendor(tmp_path: Path, run: Run, provider: str) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"input": PII_MASK, "output": PII_MASK}, entity=out.entity("vendor", provider=provider))
        out.act("vendor", scene=saying(f"Ask {MAIL}"))
        body = {"model": "churn", "max_tokens": 50, "messages": [{"role": "user", "content": f"I am {MAIL}"}]}
        answer = await out.ask(body, path="/serving-endpoints/anthropic/v1/messages")
        assert answer.status == 200, answer.body
        assert answer.json()["content"][0]["text"] == "Ask <EMAIL_ADDRESS>"
        assert MAIL.encode() not in out.script("vendor").heard[0].body
        assert verdicts(out) == [("pii", "input", MASKED), ("pii", "output", MASKED)]

    on(tmp_path, run, live)


def test_what_is_embedded_is_masked_and_token_ids_are_refused(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        entity = out.entity("vendor", task=EMBEDDINGS)
        await guard(out, {"input": PII_MASK}, entity=entity, task=EMBEDDINGS)
        assert (await out.ask({"input": [f"I am {MAIL}"]})).status == 200
        assert out.script("vendor").heard[0].json["input"] == ["I am <EMAIL_ADDRESS>"]
        answer = await out.ask({"input": [[1, 2, 3]]})
        assert answer.status == 400 and "token ids" in answer.json()["message"]
        assert out.heard("vendor") == 1

    on(tmp_path, run, live)


def test_the_responses_api_is_guarded(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"input": PII_MASK, "output": PII_MASK})
        out.act("vendor", scene=saying(f"Ask {MAIL}"))
        answer = await out.ask({"model": "churn", "input": f"I am {MAIL}"}, path="/serving-endpoints/responses")
        assert answer.status == 200, answer.body
        assert MAIL.encode() not in answer.body and b"<EMAIL_ADDRESS>" in answer.body
        assert MAIL.encode() not in out.script("vendor").heard[0].body

    on(tmp_path, run, live)


def test_a_body_that_is_no_json_is_refused_as_one(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"input": PII_MASK})
        answer = await out.bench.ask(body=b'{"messages": [')
        assert answer.status == 400 and "JSON" in answer.json()["message"]

    on(tmp_path, run, live)


@pytest.mark.parametrize(("on_failure", "status"), [("closed", 503), ("open", 200)])
def test_an_answer_nobody_can_check_leaves_only_where_that_is_configured(
    tmp_path: Path, run: Run, on_failure: str, status: int
) -> None:
    class Broken:
        def find(self, text: str) -> Any:
            raise RuntimeError("out of order")

    async def live(out: Outside) -> None:
        await guard(out, {"input": PII_MASK})
        out.bench.gateway._guard.equip(_with_finder(out, Broken()))
        answer = await out.ask()
        assert answer.status == status
        assert verdicts(out) == [("pii", "input", "failed")]

    on(tmp_path, run, live, on_failure=on_failure)


def _with_finder(out: Outside, finder: Any) -> Any:
    import dataclasses

    return dataclasses.replace(out.bench.gateway._guard._tools, finder=finder)
