"""Guardrails on streams, over HTTP from a vendor to a client: nothing leaves that was not checked."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateway.bench import Run, until
from tests.contract.gateway.guardrails.guarded import (
    MAIL,
    PII_BLOCK,
    PII_MASK,
    chat,
    guard,
    judged_by,
    on,
    saying,
    verdicts,
)
from tests.contract.gateway.vendors.outside import Outside, events_of, is_done, text_of

from headgate.domain.request_record import BLOCKED, FAILED, MASKED, PASSED
from headgate.guardrails.pii.recognisers import BuiltIn


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_stream_is_masked_however_the_vendor_cuts_it(tmp_path: Path, run: Run, provider: str) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"output": PII_MASK}, entity=out.entity("vendor", provider=provider))
        text = f"Ask {MAIL} or call +1 415 555 2671, card 4111 1111 1111 1111. Bye."
        for size in (1, 7, 0):
            out.act("vendor", scene=saying(text), piece_bytes=size)
            answer = await out.stream()
            assert is_done(answer)
            assert text_of(answer) == "Ask <EMAIL_ADDRESS> or call <PHONE_NUMBER>, card <CREDIT_CARD>. Bye."
            assert any("output_guardrail" in event for event in events_of(answer))
            assert verdicts(out) == [("pii", "output", MASKED)]
            assert out.call.usage is not None

    on(tmp_path, run, live)


@pytest.mark.parametrize("guards", [PII_BLOCK, {"invalid_keywords": ["example"]}])
def test_what_may_not_leave_ends_a_stream_with_an_error_and_the_vendor_is_let_go(
    tmp_path: Path, run: Run, guards: dict[str, Any]
) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"output": guards})
        out.act("vendor", scene=saying(f"Some words before {MAIL} " + "and after " * 40), pause_s=0.02)
        answer = await out.stream()
        assert answer.status == 200 and answer.complete
        *before, last = events_of(answer)
        assert b"[DONE]" not in answer.body and MAIL.encode() not in answer.body
        assert "output_guardrail_triggered" in json.dumps(last)
        assert "after" not in "".join(json.dumps(event) for event in before)
        await until(lambda: out.script("vendor").left == 1)
        assert (out.call.failure, out.call.complete) == (400, False)
        assert verdicts(out)[-1][1:] == ("output", BLOCKED)

    on(tmp_path, run, live)


def test_a_stream_is_judged_by_stretches_and_what_is_unsafe_stays(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await judged_by(out, "safe")
        judge = out.script("judge")
        await guard(out, {"output": {"safety": True}})
        out.act("vendor", scene=saying("word " * 200), pause_s=0.001)
        answer = await out.stream()
        assert is_done(answer) and text_of(answer) == "word " * 200
        assert 2 <= judge.count <= 4
        out.act("judge", scene=saying("unsafe\nS10"))
        answer = await out.stream()
        assert "word" not in answer.body.decode() and "[DONE]" not in answer.body.decode()
        assert "hate" in answer.body.decode()
        assert verdicts(out) == [("safety", "output", BLOCKED)]

    on(tmp_path, run, live, judged_characters=400)


@pytest.mark.parametrize("on_failure", ["closed", "open"])
def test_a_judge_that_fails_in_the_middle_of_a_stream(tmp_path: Path, run: Run, on_failure: str) -> None:
    async def live(out: Outside) -> None:
        await judged_by(out, "safe")
        out.act("judge", status=500)
        await guard(out, {"output": {"safety": True}})
        answer = await out.stream()
        assert is_done(answer) == (on_failure == "open")
        assert verdicts(out) == [("safety", "output", FAILED)]

    on(tmp_path, run, live, on_failure=on_failure)


def test_a_recogniser_that_takes_long_is_asked_in_threads_and_finds_the_same(tmp_path: Path, run: Run) -> None:
    threads: set[str] = set()

    class Slow(BuiltIn):
        def find(self, text: str) -> Any:
            threads.add(threading.current_thread().name.partition("_")[0])
            return super().find(text)

    async def live(out: Outside) -> None:
        step = out.bench.gateway._guard
        step.equip(dataclasses.replace(step._tools, finder=Slow(), is_slow=True))
        await guard(out, {"input": PII_MASK, "output": PII_MASK})
        out.act("vendor", scene=saying(f"Ask {MAIL} or call +1 415 555 2671."))
        answer = await out.stream(chat(MAIL))
        assert is_done(answer) and text_of(answer) == "Ask <EMAIL_ADDRESS> or call <PHONE_NUMBER>."
        assert text_of(await out.ask(chat(MAIL))) == "Ask <EMAIL_ADDRESS> or call <PHONE_NUMBER>."
        assert threads == {"guardrails"}

    on(tmp_path, run, live)


def test_a_refused_question_makes_no_stream(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await judged_by(out, "unsafe\nS1")
        await guard(out, {"input": {"safety": True}})
        answer = await out.stream(chat("How?"))
        assert answer.status == 400 and answer.json()["error_code"] == "BAD_REQUEST"

    on(tmp_path, run, live)


def test_a_client_that_leaves_takes_the_vendor_with_it_and_what_was_found_is_noted(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"output": PII_MASK})
        out.act("vendor", scene=saying(f"Ask {MAIL} now. " + "more " * 200), pause_s=0.02)
        client = out.send(chat("hello", stream=True))
        await until(lambda: any(b"EMAIL_ADDRESS" in piece for piece in client.response.pieces))
        client.leave()
        await until(lambda: out.script("vendor").left == 1)
        assert verdicts(out) == [("pii", "output", MASKED)]

    on(tmp_path, run, live)


def test_messages_and_responses_are_streamed_guarded(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await guard(out, {"input": PII_MASK, "output": PII_MASK})
        out.act("vendor", scene=saying(f"Ask {MAIL}, please."))
        asked = {"model": "churn", "max_tokens": 9, "messages": [{"role": "user", "content": MAIL}]}
        for path, body in (("anthropic/v1/messages", asked), ("responses", {"model": "churn", "input": MAIL})):
            answer = await out.ask({**body, "stream": True}, path=f"/serving-endpoints/{path}")
            assert answer.status == 200 and MAIL.encode() not in answer.body
            assert b"EMAIL_ADDRESS" in answer.body
        assert all(MAIL.encode() not in one.body for one in out.script("vendor").heard)
        assert verdicts(out) == [("pii", "input", MASKED), ("pii", "output", MASKED)]

    on(tmp_path, run, live)


def test_a_shadow_holds_nothing_back(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await judged_by(out, "safe", delay_s=0.2)
        await guard(out, {"input": {"safety": True}, "output": PII_BLOCK})
        out.act("vendor", scene=saying(f"Ask {MAIL}, please."))
        answer = await out.stream(chat("hello"))
        assert is_done(answer) and text_of(answer) == f"Ask {MAIL}, please."
        assert verdicts(out) == [("safety", "input", PASSED), ("pii", "output", BLOCKED)]

    on(tmp_path, run, live, shadow="*")
