"""Run by the tests inside a client's environment: prompts, and a model that must go elsewhere. Prints one line of JSON."""

import json

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

mlflow.genai.register_prompt(name="greeting", template="Hello {{name}}")
mlflow.genai.register_prompt(name="greeting", template="Dear {{name}}")
mlflow.genai.set_prompt_alias("greeting", alias="best", version=2)
seen = {"template": [mlflow.genai.load_prompt(f"prompts:/greeting/{version}").template for version in (1, 2)]}
seen["alias"] = mlflow.genai.load_prompt("prompts:/greeting@best").version
seen["found"] = [prompt.name for prompt in mlflow.genai.search_prompts()]
try:
    MlflowClient().create_registered_model("churn")
except MlflowException as error:
    seen["model"] = [error.error_code, str(error)]
print(json.dumps(seen))
