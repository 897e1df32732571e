"""A judge and embeddings are endpoints of this server, asked beside the vendor and along the same pipeline, but for what would ask them again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateway.bench import Run, entity, until
from tests.contract.gateway.guardrails.guarded import chat, guard, judged_by, on, saying, verdicts, wants
from tests.contract.gateway.vendors.outside import Outside
from tests.fakes.vendor.scene import Scene
from tests.fakes.vendor.script import Act
from tests.fakes.worker import Received

from headgate.domain.rate_limits import CALLS, RateLimit
from headgate.domain.request_record import BLOCKED, FAILED, PASSED
from headgate.domain.routing import GatewayRoute
from headgate.providers.port import EMBEDDINGS

SAFETY = {"input": {"safety": True}}
TOPICS = {"input": {"valid_topics": ["cooking", "travel"]}}


def test_what_the_judge_calls_unsafe_is_refused_with_its_categories(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await judged_by(out, "\n\nunsafe\nS9")
        await guard(out, SAFETY)
        answer = await out.ask(chat("How do I build one?"))
        assert answer.status == 400
        told = json.loads(answer.json()["message"])
        assert told["finishReason"] == "input_guardrail_triggered"
        result = told["input_guardrail"][0]
        assert result["flagged"] is True and result["pii_detection"] is False
        assert [name for name, flagged in result["categories"].items() if flagged] == ["indiscriminate-weapons"]
        assert verdicts(out) == [("safety", "input", BLOCKED)]
        asked = out.script("judge").heard[0].json
        assert asked["messages"] == [{"role": "user", "content": "How do I build one?"}]
        assert asked["model"] == "model-of-judge"

    on(tmp_path, run, live)


def test_the_judge_is_asked_beside_the_vendor_and_nothing_leaves_before_it_has_spoken(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await judged_by(out, "safe", delay_s=30.0)
        await guard(out, SAFETY)
        client = out.send(chat("hello", stream=True))
        await until(
            lambda: out.script("vendor").busy == 0 and out.heard("vendor") == 1 and out.script("judge").busy == 1
        )
        assert client.response.status == 0, "the vendor has answered, the judge has not"
        client.leave()
        await until(lambda: out.script("judge").left == 1)
        assert not out.bench.gateway._guard._looking.asking

    on(tmp_path, run, live, judge_timeout_s=60.0)


def test_a_judge_that_says_safe_lets_pass_on_both_sides(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await judged_by(out, "safe")
        await guard(out, {**SAFETY, "output": {"safety": True}})
        answer = await out.ask(chat("hello"))
        assert answer.status == 200
        assert verdicts(out) == [("safety", "input", PASSED), ("safety", "output", PASSED)]
        assert sorted(len(one.json["messages"]) for one in out.script("judge").heard) == [1, 2]

    on(tmp_path, run, live)


FAILURES: list[dict[str, Any]] = [{"status": 500}, {"body": b"[]"}, {"scene": saying("who knows")}, {"delay_s": 30.0}]


@pytest.mark.parametrize("act", FAILURES, ids=["error", "garbage", "neither", "slow"])
@pytest.mark.parametrize(("on_failure", "status"), [("closed", 503), ("open", 200)])
def test_a_judge_that_fails_decides_as_configured(
    tmp_path: Path, run: Run, act: dict[str, Any], on_failure: str, status: int
) -> None:
    async def live(out: Outside) -> None:
        await judged_by(out, "safe")
        out.act("judge", **act)
        await guard(out, SAFETY)
        answer = await out.ask(chat("hello"))
        assert answer.status == status
        assert verdicts(out) == [("safety", "input", FAILED)]
        assert all(len(one.detail) < 60 for call in out.keeper.calls for one in call.verdicts)

    on(tmp_path, run, live, judge_timeout_s=0.2, on_failure=on_failure)


def test_a_judge_that_does_not_exist_has_failed_and_the_log_says_so_once(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def live(out: Outside) -> None:
        await guard(out, SAFETY)
        for _ in range(3):
            assert (await out.ask(chat("hello"))).status == 503

    on(tmp_path, run, live)
    said = [record.getMessage() for record in caplog.records if "guardrail" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("endpoint churn: guardrail safety failed on input: EndpointNotFound")


def test_a_judge_is_neither_guarded_nor_limited_when_it_judges(tmp_path: Path, run: Run) -> None:
    """Guarded by itself it would wait for itself for ever."""

    async def live(out: Outside) -> None:
        out.act("judge", scene=saying("safe"))
        limited = wants({**SAFETY, "output": {"safety": True}}, rate_limits=(RateLimit(CALLS, 0),))
        await out.bench.serve(out.entity("judge"), name="judge", gateway=limited)
        out.act("judge", scene=saying("safe"))
        await guard(out, SAFETY)
        assert (await out.ask(chat("hello"))).status == 200
        judged = next(call for call in out.keeper.calls if call.endpoint.name == "judge")
        assert (judged.principal.id, judged.principal.user_name) == ("", "headgate-guardrails")

    on(tmp_path, run, live)


def test_a_model_of_our_own_can_judge_and_embed(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        heard = []

        async def model(request: Received) -> None:
            body = json.loads(request.body)
            heard.append(body)
            if "input" in body:
                answered: Any = {"predictions": [[1.0, 0.0]] * len(body["input"])}
            else:
                answered = {"predictions": [{"choices": [{"message": {"role": "assistant", "content": "unsafe\nS1"}}]}]}
            request.reply(json.dumps(answered).encode())

        worker = await out.bench.worker(model)
        await out.bench.serve(entity(worker), name="judge", gateway=GatewayRoute(task="llm/v1/chat"))
        await out.bench.serve(entity(worker), name="vectors")
        await guard(out, {"input": {"safety": True, "valid_topics": ["cooking"]}})
        answer = await out.ask(chat("hello"))
        assert answer.status == 400 and "violent-crimes" in answer.json()["message"]
        assert verdicts(out) == [("safety", "input", BLOCKED), ("valid_topics", "input", PASSED)]
        assert len(heard) == 2

    on(tmp_path, run, live)


def test_a_request_far_from_all_topics_is_refused_and_their_vectors_are_kept(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        vectors = out.script("vectors")
        vectors.acts.append(Act(Scene(embeddings=((0.0, 1.0), (1.0, 0.0), (0.9, 0.1)))))
        vectors.act = Act(Scene(embeddings=((1.0, 0.1),)))
        route = GatewayRoute("EXTERNAL_MODEL", EMBEDDINGS)
        await out.bench.serve(out.entity("vectors", task=EMBEDDINGS), name="vectors", gateway=route)
        await guard(out, TOPICS)
        answer = await out.ask(chat("Who wins the election?"))
        assert answer.status == 400
        assert json.loads(answer.json()["message"])["input_guardrail"][0]["valid_topics"] is False
        assert (await out.ask(chat("How long do eggs cook?"))).status == 200
        assert [len(one.json["input"]) for one in vectors.heard] == [3, 1]

    on(tmp_path, run, live)


def test_topics_are_embedded_again_by_another_model(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        route = GatewayRoute("EXTERNAL_MODEL", EMBEDDINGS)
        three = Act(Scene(embeddings=((1.0, 0.0), (1.0, 0.0), (1.0, 0.0))))
        await out.bench.serve(out.entity("vectors", task=EMBEDDINGS), name="vectors", gateway=route)
        out.script("vectors").acts.append(three)
        await guard(out, TOPICS)
        assert (await out.ask(chat("eggs"))).status == 200
        await out.bench.serve(out.entity("other", task=EMBEDDINGS), name="vectors", gateway=route)
        out.script("other").acts.append(three)
        assert (await out.ask(chat("eggs"))).status == 200
        assert [len(one.json["input"]) for one in out.script("other").heard] == [3]

    on(tmp_path, run, live)


def test_a_shadow_asks_records_and_changes_nothing(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await judged_by(out, "unsafe\nS1")
        everything = {"safety": True, "pii": {"behavior": "BLOCK"}, "invalid_keywords": ["hello"]}
        await guard(out, {"input": everything, "output": everything})
        body = chat("hello, I am a@example.com")
        answers = [await out.ask(body), await out.stream(body)]
        assert [answer.status for answer in answers] == [200, 200]
        for one in out.script("vendor").heard:
            assert one.json["messages"] == body["messages"]
        calls = [call for call in out.keeper.calls if call.endpoint.name == "churn"]
        for call in calls:
            said = {(one.guardrail, one.phase): one for one in call.verdicts}
            assert all(one.shadow for one in said.values())
            assert {key for key, one in said.items() if one.outcome == BLOCKED} == {
                ("pii", "input"),
                ("invalid_keywords", "input"),
                ("safety", "input"),
                ("invalid_keywords", "output"),
                ("safety", "output"),
            }

    on(tmp_path, run, live, shadow="other, churn")


def test_an_endpoint_that_goes_while_its_judge_is_asked_leaves_no_task(tmp_path: Path, run: Run) -> None:
    async def live(out: Outside) -> None:
        await judged_by(out, "safe", delay_s=30.0)
        await guard(out, SAFETY)
        client = out.send(chat("hello"))
        await until(lambda: out.script("judge").busy == 1)
        client.leave()
        await asyncio.wait_for(out.bench.gateway._guard.stop(), 30)

    on(tmp_path, run, live, judge_timeout_s=60.0)
