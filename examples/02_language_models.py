"""One door to language models: a vendor behind a name of yours, with a spare, limits, guardrails, and a table of what was used.

Needs a running server with its tables (`pip install '.[mlflow,warehouse]'`), DATABRICKS_HOST and DATABRICKS_TOKEN naming it, and OpenAI's client
(`pip install openai`). The vendor is a stand-in on this machine (vendor.py), which the server must be allowed to reach: start it with
HEADGATE_PROVIDERS_ALLOW_PRIVATE_ADDRESSES=true. For OpenAI itself leave out `openai_api_base`, and keep your own key below.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import openai
from databricks.sdk import WorkspaceClient
from databricks.sdk.service import serving
from vendor import vendor

ENDPOINT, SCOPE = "assistant", "assistant-vendors"
HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Good morning"}]


@contextmanager
def step(title: str) -> Iterator[None]:
    """Prints what is done."""
    print(f"\n● {title}", flush=True)
    yield


def model(name: str, base: str) -> serving.ServedEntityInput:
    """A vendor's model as part of an endpoint. The key is a reference: it is never in a config, nor in an answer."""
    config = serving.OpenAiConfig(openai_api_key=f"{{{{secrets/{SCOPE}/openai}}}}", openai_api_base=base)
    openais = serving.ExternalModelProvider.OPENAI
    external = serving.ExternalModel(name=name, provider=openais, task="llm/v1/chat", openai_config=config)
    return serving.ServedEntityInput(name=name, external_model=external)


def governed(workspace: WorkspaceClient) -> None:
    """Limits, guardrails, the spare and the usage table, all of the endpoint."""
    user, minute = serving.AiGatewayRateLimitKey.USER, serving.AiGatewayRateLimitRenewalPeriod.MINUTE
    block = serving.AiGatewayGuardrailPiiBehavior(behavior=serving.AiGatewayGuardrailPiiBehaviorBehavior.BLOCK)
    workspace.serving_endpoints.put_ai_gateway(
        ENDPOINT,
        fallback_config=serving.FallbackConfig(enabled=True),
        rate_limits=[serving.AiGatewayRateLimit(calls=6, key=user, renewal_period=minute)],
        guardrails=serving.AiGatewayGuardrails(input=serving.AiGatewayGuardrailParameters(pii=block)),
        usage_tracking_config=serving.AiGatewayUsageTrackingConfig(enabled=True),
    )


def refused(client: openai.OpenAI) -> None:
    """What clients see of guardrails and limits."""
    with step("what a guardrail says to an address"):
        try:
            client.chat.completions.create(
                model=ENDPOINT, messages=[{"role": "user", "content": "I am ann@example.com"}]
            )
        except openai.BadRequestError as error:
            told = json.loads(error.body["message"])  # type: ignore[index]
            print(f"  {told['finishReason']}: {told['input_guardrail'][0]['anonymized_input']}")

    with step("more than six calls"):
        try:
            for _ in range(7):
                client.chat.completions.create(model=ENDPOINT, messages=HELLO)
        except openai.RateLimitError as error:
            print(f"  {error.status_code}, come again in {error.response.headers['retry-after']} s")


def used(workspace: WorkspaceClient) -> list[list[str]]:
    """Requests and tokens by status, from the usage table: a row is there some seconds after its request."""
    query = """
        SELECT status_code, count(*), sum(input_token_count + output_token_count)
        FROM system.serving.endpoint_usage WHERE endpoint_name = :name GROUP BY ALL ORDER BY 1
    """
    answer = workspace.api_client.do(
        "POST",
        "/api/2.0/sql/statements",
        body={"statement": query, "warehouse_id": "headgate", "parameters": [{"name": "name", "value": ENDPOINT}]},
    )
    assert isinstance(answer, dict)
    return list(answer.get("result", {}).get("data_array", []))


def main() -> None:
    workspace = WorkspaceClient()
    client = openai.OpenAI(
        base_url=f"{workspace.config.host}/serving-endpoints", api_key=os.environ["DATABRICKS_TOKEN"], max_retries=0
    )
    ask = client.chat.completions.create

    with vendor() as base:
        with step("keep the vendor's key as a secret"):
            if SCOPE not in {
                scope.name for scope in workspace.secrets.list_scopes()
            }:  # left by a run that was broken off
                workspace.secrets.create_scope(SCOPE)
            workspace.secrets.put_secret(SCOPE, "openai", string_value="sk-not-a-real-one")

        with step("create an endpoint: a model, and a spare that is asked when the first one fails"):
            routes = [
                serving.Route(served_model_name=name, traffic_percentage=p) for name, p in (("moody", 100), ("echo", 0))
            ]
            config = serving.EndpointCoreConfigInput(
                name=ENDPOINT,
                served_entities=[model("moody", base), model("echo", base)],
                traffic_config=serving.TrafficConfig(routes=routes),
            )
            made = workspace.serving_endpoints.create_and_wait(ENDPOINT, config=config)
            print(f"  {made.name} is {made.state.ready.value}")

        with step("the first model is in a mood: without fallback that is what a client gets"):
            try:
                ask(model=ENDPOINT, messages=HELLO)
            except openai.APIStatusError as error:
                print(f"  {error.status_code}: {error.body['message'] if isinstance(error.body, dict) else error}")

        with step("govern it: fallback, six calls a minute for each user, no personal data, usage tracking"):
            governed(workspace)

        with step("ask with OpenAI's client, whole and streamed"):
            print(f"  {ask(model=ENDPOINT, messages=HELLO).choices[0].message.content}")
            chunks = ask(model=ENDPOINT, messages=HELLO, stream=True)
            print("  " + "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))

        refused(client)

        with step("what was used, from the usage table"):
            deadline = time.monotonic() + 120
            while not any(row[0] == "429" for row in used(workspace)) and time.monotonic() < deadline:
                time.sleep(1)
            for status, requests, tokens in used(workspace):
                print(f"  {requests} requests were answered {status}, with {tokens or 0} tokens")

        with step("delete it"):
            workspace.serving_endpoints.delete(ENDPOINT)
            workspace.secrets.delete_scope(SCOPE)


if __name__ == "__main__":
    main()
