"""Vendors of every kind through the whole gateway, whole and streamed; their keys and tokens."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.contract.gateway.bench import Run, until
from tests.contract.gateway.vendors.outside import HELLO, SAID, is_done, outside, text_of
from tests.fakes.vendor.script import Act

from headgate.access.secrets import SecretUnavailable
from headgate.domain.usage import Usage
from headgate.providers import catalogue
from headgate.providers.azure import Azure
from headgate.providers.port import COMPLETIONS, EMBEDDINGS

VENDORS = [
    "openai",
    "anthropic",
    "amazon-bedrock",
    "google-cloud-vertex-ai",
    "cohere",
    "ai21labs",
    "databricks-model-serving",
    "custom",
]


@cache
def service_account() -> str:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return json.dumps({"client_email": "us@ours.iam.gserviceaccount.com", "private_key": pem.decode()})


@pytest.mark.parametrize("provider", VENDORS)
def test_each_answers_whole_and_streamed_and_stands_in_for_another(run: Run, tmp_path: Path, provider: str) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.secrets = {"private_key": service_account()} if provider == "google-cloud-vertex-ai" else {}
            out.act("down", status=503)
            await out.serve(out.entity("down", 100), out.entity("up", 0, provider))
            for stream in (False, True):
                response = await out.ask({**HELLO, "stream": stream})
                assert (response.status, text_of(response)) == (200, SAID), response.body
                assert is_done(response) or not stream
                assert out.call.usage == Usage(11, 9) and out.attempts()[-1] == ("up", 200)
            out.act("up", status=429, headers={"retry-after": "3"})
            response = await out.ask(path="/serving-endpoints/churn/served-models/up/invocations")
            assert (response.status, response.json()["error_code"]) == (429, "REQUEST_LIMIT_EXCEEDED")
            script = out.act("up", status=401, message="who are you? sk-secret?")
            response = await out.ask(path="/serving-endpoints/churn/served-models/up/invocations")
            assert response.status in (401, 403) and script.count and "sk-secret" not in response.body.decode()

    run(main())


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_client_of_anthropics_api_reads_every_vendor(run: Run, tmp_path: Path, provider: str) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("down", status=529)
            await out.serve(out.entity("down", 100, "anthropic"), out.entity("up", 0, provider))
            asked = {**HELLO, "model": "churn", "max_tokens": 10}
            path = "/serving-endpoints/anthropic/v1/messages"
            response = await out.ask(asked, path=path)
            assert response.json()["content"] == [{"type": "text", "text": SAID}]
            response = await out.stream(asked, path=path)
            assert (
                response.body.rstrip().endswith(b'{"type":"message_stop"}') and b"event: message_start" in response.body
            )
            assert out.call.usage is not None and out.call.usage.completion_tokens == 9 and out.call.complete
            out.act("up", hang_up_after_pieces=5)
            response = await out.stream(asked, path=path)
            assert b"event: error\n" in response.body and b"message_stop" not in response.body
            assert b'"type":"overloaded_error"' in response.body

    run(main())


@pytest.mark.parametrize(("task", "asked"), [(COMPLETIONS, {"prompt": "Once"}), (EMBEDDINGS, {"input": ["a"]})])
def test_completions_and_embeddings_fall_back_too(
    run: Run, tmp_path: Path, task: str, asked: dict[str, object]
) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("down", status=500)
            await out.serve(out.entity("down", 100, task=task), out.entity("up", 0, task=task), task=task)
            response = await out.ask(asked)
            assert response.status == 200 and out.attempts() == [("down", 500), ("up", 200)]
            assert "stream" not in json.loads(out.script("up").heard[-1].body)

    run(main())


def test_a_token_is_fetched_once_and_anew_when_it_is_refused(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.secrets = {"private_key": service_account()}
            await out.serve(out.entity("vertex", 100, "google-cloud-vertex-ai"))
            script = out.script("vertex")
            for _ in range(3):
                assert (await out.ask()).status == 200
            assert [heard.route.endswith("/token") for heard in script.heard] == [True, False, False, False]
            script.acts.append(Act(status=401))
            assert text_of(await out.ask()) == SAID
            assert [heard.route.endswith("/token") for heard in script.heard[4:]] == [False, True, False]
            assert out.attempts() == [("vertex", 401), ("vertex", 200)]
            # A token that was just fetched is not the reason.
            script.act = Act(status=401)
            script.acts.extend([Act(status=401), Act()])
            assert (await out.ask()).status == 401
            assert len(script.heard) == 10

    run(main())


def test_an_application_of_entras_has_its_token_fetched_for_all_its_models(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            azure = Azure(f"{out.vendor.url}/authority")
            monkeypatch.setitem(catalogue.PROVIDERS, "azure-openai", azure)
            authority = out.script("authority")
            config = {
                "openai_api_type": "azuread",
                "openai_api_version": "2026-01-01",
                "openai_deployment_name": "d",
                "openai_api_base": f"{out.vendor.url}/ours/entra",
                "microsoft_entra_tenant_id": "t",
                "microsoft_entra_client_id": "c",
                "microsoft_entra_client_secret": "sk-secret",
            }
            await out.serve(out.entity("one", 50, **config), out.entity("two", 50, **config))
            clients = [out.send({**HELLO, "stream": number % 2 == 0}) for number in range(20)]
            assert [text_of(await client.done()) for client in clients] == [SAID] * 20
            assert authority.count == 1

    run(main())


def test_where_no_token_comes_from_another_entity_answers(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.secrets = {"private_key": service_account()}
            out.act("vertex", status=400, message="invalid_grant")
            await out.serve(out.entity("vertex", 100, "google-cloud-vertex-ai"), out.entity("up", 0))
            assert text_of(await out.ask()) == SAID
            assert out.attempts() == [("vertex", 400), ("up", 200)]
            response = await out.ask(path="/serving-endpoints/churn/served-models/vertex/invocations")
            assert response.status == 401 and "served entity" in response.json()["message"]

    run(main())


def test_a_secret_that_cannot_be_had_is_named_and_another_entity_answers(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.problem = SecretUnavailable("secret ours/openai is not there")
            await out.serve(out.entity("first", 100), out.entity("second", 0), fallback=True)
            response = await out.ask()
            assert (response.status, response.json()["error_code"]) == (400, "INVALID_STATE")
            assert "ours/openai" in response.json()["message"]
            assert sorted(out.attempts()) == [("first", 0), ("second", 0)]
            out.problem = None
            out.bench.gateway.hint("secrets")
            await until(lambda: len(out.opened) == 2)
            assert text_of(await out.ask()) == SAID

    run(main())


def test_a_secret_that_changes_is_used_from_then_on(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            entity = out.entity("first", 100)
            assert entity.external is not None
            object.__setattr__(entity.external, "references", {"openai_api_key": "{{secrets/ours/openai}}"})
            await out.serve(entity)
            script = out.script("first")
            assert (await out.ask()).status == 200
            out.secrets, out.secrets_revision = {"openai_api_key": "sk-renewed"}, 1
            out.bench.gateway.hint("secrets")
            await until(lambda: len(out.opened) == 2)
            assert (await out.ask()).status == 200
            keys = [heard.headers["authorization"] for heard in script.heard]
            assert keys == ["Bearer sk-secret", "Bearer sk-renewed"]

    run(main())


def test_a_new_config_takes_over_while_old_requests_go_on(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("old", pause_s=0.02)
            await out.serve(out.entity("old"))
            client = out.send({**HELLO, "stream": True})
            await until(lambda: b"Hello" in client.response.body)
            await out.serve(out.entity("new"))
            assert text_of(await out.ask()) == SAID and out.call.entity.name == "new"
            assert is_done(await client.done())

    run(main())


@pytest.mark.parametrize(
    "body", [b"{}", b'{"choices":[]}', b'{"choices":[{"message":{"content":5}}],"usage":{"prompt_tokens":"x"}}']
)
def test_json_that_is_no_completion_is_no_answer_for_who_needs_it_translated(
    run: Run, tmp_path: Path, body: bytes
) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("odd", body=body)
            await out.serve(out.entity("odd", 100), out.entity("up", 0, "anthropic"))
            path = "/serving-endpoints/anthropic/v1/messages"
            response = await out.ask({**HELLO, "model": "churn", "max_tokens": 10}, path=path)
            assert response.json()["content"] == [{"type": "text", "text": SAID}]
            assert out.attempts() == [("odd", 502), ("up", 200)]

    run(main())


def test_a_chunk_that_cannot_be_translated_is_the_streams_last(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            said = b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
            odd = b'data: {"choices":[{"index":0,"delta":{"content":5}}]}\n\n'
            headers = {"content-type": "text/event-stream"}
            script = out.act("odd", body=said + odd + said, piece_bytes=len(said), pause_s=0.02, headers=headers)
            await out.serve(out.entity("odd", 100), out.entity("up", 0))
            path = "/serving-endpoints/anthropic/v1/messages"
            response = await out.stream({**HELLO, "model": "churn", "max_tokens": 10}, path=path)
            assert b'"text":"Hel"' in response.body and b"event: error\n" in response.body
            assert b"message_stop" not in response.body and response.complete
            await until(lambda: out.call.status == 503 and not script.busy)

    run(main())
