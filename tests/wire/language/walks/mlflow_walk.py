"""mlflow.deployments, 2.22 or current: predict and predict_stream on external models; ai_gateway and rate limits through its client."""

import mlflow
from mlflow.deployments import get_deploy_client
from steps import HELLO, refusal, step, tell, walk


@step
def predict(client):
    return {
        "chat": client.predict(endpoint="talk", inputs={"messages": HELLO, "max_tokens": 20})["choices"][0]["message"][
            "content"
        ],
        "completions": client.predict(endpoint="complete", inputs={"prompt": "Once"})["choices"][0]["text"],
        "embeddings": [
            one["embedding"] for one in client.predict(endpoint="embed", inputs={"input": ["a", "b"]})["data"]
        ],
        "claude": client.predict(endpoint="claude", inputs={"messages": HELLO})["choices"][0]["message"]["content"],
    }


@step
def predict_stream(client):
    seen = {}
    for endpoint in ("talk", "claude", "converse"):
        chunks = list(client.predict_stream(endpoint=endpoint, inputs={"messages": HELLO}))
        texts = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
        seen[endpoint] = "".join(texts)
    return seen


@step
def refused(client):
    return refusal(lambda: client.predict(endpoint="refusing", inputs={"messages": HELLO}))[2]


@step
def made_and_governed(client):
    """An endpoint of an external model from create to delete."""
    model = {
        "name": "a-model",
        "provider": "openai",
        "task": "llm/v1/chat",
        "openai_config": {"openai_api_key_plaintext": "sk-plain", "openai_api_base": "https://example.com/v1"},
    }
    config = {"served_entities": [{"name": "far", "external_model": model}]}
    try:
        client.create_endpoint(name="made", config={"name": "made", "config": config})
    except TypeError:  # before it took whole configs
        client.create_endpoint(name="made", config=config)
    limit = {"calls": 5, "key": "endpoint", "renewal_period": "minute"}
    governed = client.update_endpoint_ai_gateway(
        "made", config={"rate_limits": [limit], "usage_tracking_config": {"enabled": True}}
    )
    shown = client.get_endpoint("made")
    client.delete_endpoint("made")
    return [
        governed["rate_limits"],
        shown["ai_gateway"]["usage_tracking_config"],
        shown["config"]["served_entities"][0]["external_model"],
    ]


tell(walk(get_deploy_client("databricks")) | {"version": mlflow.__version__})
