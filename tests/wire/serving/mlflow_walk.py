"""mlflow.deployments against the server in the environment. Prints what was seen as JSON."""

import json

from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException

client = get_deploy_client("databricks")
seen = {"empty": client.list_endpoints()}
served = {"entity_name": "main.default.churn", "entity_version": "1", "scale_to_zero_enabled": True}
created = client.create_endpoint(name="walk", config={"name": "walk", "config": {"served_entities": [served]}})
seen["created"] = [created["name"], created["state"]["config_update"]]
seen["listed"] = [found["name"] for found in client.list_endpoints()]
seen["got"] = client.get_endpoint("walk")["config"]["config_version"]
config = client.get_endpoint("walk")["config"]
config["served_entities"][0]["entity_version"] = "2"
del config["served_models"], config["traffic_config"]
seen["updated"] = client.update_endpoint_config("walk", config=config)["pending_config"]["config_version"]
seen["tags"] = client.update_endpoint_tags("walk", config={"add_tags": [{"key": "a", "value": "1"}]})
try:
    client.create_endpoint(name="walk", config={"name": "walk", "config": {"served_entities": [served]}})
except Exception as error:
    seen["taken"] = str(error)
vendors = {
    "name": "test",
    "external_model": {
        "name": "gpt-4",
        "provider": "openai",
        "task": "llm/v1/chat",
        "openai_config": {"openai_api_key_plaintext": "sk-of-mlflow"},
    },
}
made = client.create_endpoint(name="vendors", config={"name": "vendors", "config": {"served_entities": [vendors]}})
seen["vendors"] = client.get_endpoint("vendors")
seen["vendors updated"] = client.update_endpoint_config("vendors", config={"served_entities": [vendors]})["name"]
limit = {"calls": 10, "key": "endpoint", "renewal_period": "minute"}
seen["vendors limits"] = client.update_endpoint_rate_limits("vendors", config={"rate_limits": [limit]})
seen["vendors gateway"] = client.update_endpoint_ai_gateway("vendors", config={"rate_limits": [limit]})
seen["vendors deleted"] = client.delete_endpoint("vendors")
seen["deleted"] = client.delete_endpoint("walk")
try:
    client.get_endpoint("walk")
except MlflowException as error:
    seen["gone"] = [error.error_code, str(error)]
except Exception as error:
    seen["gone"] = [type(error).__name__, str(error)]
print(json.dumps(seen))
