"""Clients in other dialects than the vendor's, through the whole gateway and both doors: bytes go through where both speak the same."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateway.bench import Run
from tests.contract.gateway.vendors.outside import HELLO, SAID, Outside, outside

from headgate.domain.ai_gateway import Guardrails, Guards
from headgate.domain.routing import GatewayRoute
from headgate.providers.port import COMPLETIONS, EMBEDDINGS

MESSAGES = "/serving-endpoints/anthropic/v1/messages"
RESPONSES = "/serving-endpoints/responses"
TALK = {"model": "churn", "max_tokens": 50, **HELLO}
GUARDED = GatewayRoute(
    kind="EXTERNAL_MODEL", task="llm/v1/chat", guardrails=Guardrails(input=Guards(invalid_keywords=("plutonium",)))
)


def sent(out: Outside, name: str) -> dict[str, Any]:
    """What this vendor heard last."""
    told: dict[str, Any] = json.loads(out.script(name).heard[-1].body)
    return told


def test_messages_go_to_anthropic_as_they_are_and_to_others_translated(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            marked = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
            asked = {**TALK, "system": marked, "service_tier": "standard_only"}
            await out.serve(out.entity("claude", provider="anthropic"))
            headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "context-1m", "x-api-key": "secret"}
            response = await out.ask(asked, path=MESSAGES, headers={**headers, "authorization": ""})
            assert response.status == 200, response.body
            assert response.json()["content"] == [{"type": "text", "text": SAID}]
            heard = out.script("claude").heard[-1]
            assert sent(out, "claude") == {**asked, "model": "model-of-claude"}
            assert (heard.headers["anthropic-beta"], heard.headers["x-api-key"]) == ("context-1m", "sk-secret")
            await out.serve(out.entity("gpt"))
            refused = await out.ask(asked, path=MESSAGES)
            assert (refused.status, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
            response = await out.ask({**TALK, "system": marked}, path="/ai-gateway/anthropic/v1/messages")
            assert response.json()["content"] == [{"type": "text", "text": SAID}]
            assert sent(out, "gpt")["messages"] == [{"role": "system", "content": "Be brief."}, *HELLO["messages"]]

    run(main())


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_streams_have_anthropics_events_also_when_they_break(provider: str, run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            await out.serve(out.entity("first", provider=provider))
            response = await out.stream(TALK, path=MESSAGES)
            assert response.complete and b"event: message_stop\n" in response.body
            assert out.call.usage is not None and out.call.usage.completion_tokens == 9
            out.act("first", hang_up_after_pieces=5)
            broken = await out.stream(TALK, path=MESSAGES)
            last = broken.body.decode().strip().split("\n\n")[-1]
            assert last.startswith("event: error\ndata: ") and '"overloaded_error"' in last
            assert b"message_stop" not in broken.body

    run(main())


def test_guardrails_read_messages_in_the_middle_language_whatever_the_vendor(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            await out.serve(out.entity("claude", provider="anthropic"), gateway=GUARDED)
            response = await out.ask(TALK, path=MESSAGES)
            assert response.json()["content"] == [{"type": "text", "text": SAID}]
            assert json.loads(out.call.body)["messages"] == HELLO["messages"]
            # No tool that Anthropic runs: what it reads nobody would check.
            asked = {**TALK, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
            assert (await out.ask(asked, path=MESSAGES)).status == 400

    run(main())


def test_responses_go_through_where_the_vendor_has_them_else_they_are_translated(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            asked = {"model": "churn", "input": "Hi", "max_output_tokens": 50}
            for provider, pieces, natively in (("openai", 5, True), ("anthropic", 5, False), ("custom", 3, False)):
                name = f"to-{provider}"
                await out.serve(out.entity(name, provider=provider))
                for path in (RESPONSES, "/ai-gateway/openai/v1/responses", "/serving-endpoints/churn/invocations"):
                    told = (await out.ask(asked, path=path)).json()
                    assert "object" in told, told
                    assert (told["object"], told["output"][-1]["content"][0]["text"]) == ("response", SAID)
                    assert ("input" in sent(out, name)) == natively
                streamed = await out.stream(asked, path=RESPONSES)
                events = [json.loads(line[6:]) for line in streamed.body.decode().split("\n\n") if line]
                assert events[0]["type"] == "response.created" and events[-1]["type"] == "response.completed"
                assert events[-1]["response"]["usage"]["total_tokens"] == 20
                assert out.call.usage is not None and out.call.usage.total_tokens == 20
                out.act(name, hang_up_after_pieces=pieces)
                broken = await out.stream(asked, path=RESPONSES)
                last = json.loads(broken.body.decode().strip().split("\n\n")[-1][6:])
                assert last["error"]["message"] and last["error_code"] == "TEMPORARILY_UNAVAILABLE"

    run(main())


def test_a_mixed_endpoint_translates_for_all_so_that_one_can_stand_in_for_the_other(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            await out.serve(out.entity("gpt"), out.entity("claude", 0, "anthropic"))
            out.act("gpt", status=500)
            told = (await out.ask({"model": "churn", "input": "Hi"}, path=RESPONSES)).json()
            assert told["output"][-1]["content"][0]["text"] == SAID
            assert sent(out, "gpt")["messages"] == HELLO["messages"]
            assert [one.served_entity_name for one in out.call.attempts] == ["gpt", "claude"]

    run(main())


@pytest.mark.parametrize("provider", ["openai", "cohere"])
def test_embeddings_come_as_base64_to_who_asks_for_it(provider: str, run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            await out.serve(out.entity("first", provider=provider, task=EMBEDDINGS), task=EMBEDDINGS)
            asked = {"model": "churn", "input": ["Hi"]}
            for path in ("/serving-endpoints/embeddings", "/ai-gateway/mlflow/v1/embeddings"):
                numbers = (await out.ask({**asked, "encoding_format": "float"}, path=path)).json()["data"][0][
                    "embedding"
                ]
                packed = (await out.ask({**asked, "encoding_format": "base64"}, path=path)).json()["data"][0][
                    "embedding"
                ]
                raw = base64.b64decode(packed)
                assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(numbers)

    run(main())


def test_what_an_endpoint_does_not_serve_is_refused_before_a_vendor_is_asked(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            await out.serve(out.entity("first", task=COMPLETIONS), task=COMPLETIONS)
            told = (
                await out.ask({"model": "churn", "prompt": "Once"}, path="/ai-gateway/openai/v1/completions")
            ).json()
            assert told["object"] == "text_completion"
            for path in (
                "/serving-endpoints/chat/completions",
                RESPONSES,
                MESSAGES,
                "/serving-endpoints/churn/invocations",
            ):
                refused = await out.ask({**TALK, "input": "Hi"}, path=path)
                assert (refused.status, refused.json()["error_code"]) == (400, "BAD_REQUEST")
                assert "serves llm/v1/completions" in refused.json()["message"]
            assert out.heard("first") == 1

    run(main())


@pytest.mark.parametrize("provider", ["openai", "anthropic", "cohere"])
def test_what_is_said_to_us_is_not_said_to_vendors(provider: str, run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            await out.serve(out.entity("first", provider=provider))
            ours = {
                "client_request_id": "mine-7",
                "usage_context": {"team": "mine-7"},
                "databricks_options": {"return_trace": True},
            }
            for path in ("/serving-endpoints/chat/completions", MESSAGES):
                response = await out.ask({**TALK, **ours}, path=path)
                assert response.status == 200, response.body
                heard = out.script("first").heard[-1]
                assert not {"client_request_id", "usage_context", "databricks_options"} & set(heard.json)
                assert b"mine-7" not in heard.body and "mine-7" not in str(heard.headers)
                assert out.call.asked is not None and out.call.asked.client_request_id == "mine-7"

    run(main())
