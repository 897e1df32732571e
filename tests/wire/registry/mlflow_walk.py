"""Run by the tests inside a client's environment: everything a user does with the registry through MLflow.

Prints one line of JSON with what it saw.
"""

import json
import os
import sys

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

NAME = "main.default.churn"
folder = sys.argv[1]
mlflow.set_tracking_uri(f"sqlite:///{folder}/tracking.db")
mlflow.set_registry_uri("databricks-uc")
mlflow.create_experiment("walk", artifact_location=f"file://{folder}/artifacts")
mlflow.set_experiment("walk")
client = MlflowClient()
seen = {"mlflow": mlflow.__version__}


def refused(call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except MlflowException as error:
        return [error.error_code, str(error)]
    raise AssertionError(f"{call} should have been refused")


inputs, labels = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
model = LogisticRegression().fit(inputs, labels)
signature = infer_signature(inputs, model.predict(inputs))
for name in (NAME, NAME, "Other.Place.Churn"):
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model, "model", signature=signature, pip_requirements=["mlflow", "scikit-learn"], registered_model_name=name
        )

version = client.get_model_version(NAME, "1")
seen["version"] = [version.version, version.status, version.user_id, version.name, bool(version.run_id)]
seen["timestamps"] = version.creation_timestamp <= version.last_updated_timestamp

client.set_registered_model_alias(NAME, "Champion", "2")
client.set_registered_model_tag(NAME, "team", "growth")
client.set_model_version_tag(NAME, "2", "stage", "prod")
client.update_registered_model(NAME, description="Who leaves")
client.update_model_version(NAME, "2", description="Second")
registered = client.get_registered_model(NAME)
seen["model"] = [registered.description, registered.tags, registered.aliases]
second = client.get_model_version_by_alias(NAME, "Champion")
seen["second"] = [second.version, second.description, second.tags, list(second.aliases)]

seen["versions"] = [found.version for found in client.search_model_versions(f"name='{NAME}'")]
models = client.search_registered_models()
seen["models"] = [found.name for found in models]
page = client.search_registered_models(max_results=1)
following = client.search_registered_models(max_results=1, page_token=page.token)
seen["pages"] = [[found.name for found in page], [found.name for found in following], following.token]

downloaded = mlflow.artifacts.download_artifacts(f"models:/{NAME}/1", dst_path=f"{folder}/downloaded")
seen["downloaded"] = sorted(os.listdir(downloaded))
loaded = mlflow.sklearn.load_model(f"models:/{NAME}@Champion")
seen["predicted"] = loaded.predict(inputs).tolist()
seen["spelled_differently"] = mlflow.pyfunc.load_model("models:/Main.Default.Churn/1").predict(inputs).tolist()
again = mlflow.register_model(mlflow.artifacts.download_artifacts(f"models:/{NAME}@Champion"), NAME)
seen["registered_again"] = again.version
if mlflow.__version__.startswith("2."):
    seen["copied"] = client.copy_model_version(f"models:/{NAME}/1", "main.default.copy").version
else:  # MLflow 3 cannot copy a version without a model id, and sends none with local tracking
    seen["copied"] = mlflow.register_model(downloaded, "main.default.copy").version
seen["uri"] = client.get_model_version_download_uri(NAME, "1")

seen["refusals"] = {
    "duplicate": refused(client.create_registered_model, NAME),
    "two levels": refused(client.create_registered_model, "default.churn"),
    "no such model": refused(client.get_registered_model, "main.default.absent"),
    "no such version": refused(client.get_model_version, NAME, "99"),
    "no such alias": refused(client.get_model_version_by_alias, NAME, "Nobody"),
    "alias to nothing": refused(client.set_registered_model_alias, NAME, "Champion", "99"),
}

client.delete_model_version_tag(NAME, "2", "stage")
client.delete_registered_model_tag(NAME, "team")
client.delete_registered_model_alias(NAME, "Champion")
seen["tags_left"] = [client.get_model_version(NAME, "2").tags, client.get_registered_model(NAME).tags]
client.delete_model_version(NAME, "3")
seen["after_deletion"] = [found.version for found in client.search_model_versions(f"name='{NAME}'")]
seen["number_not_reused"] = mlflow.register_model(downloaded, NAME).version
client.rename_registered_model(NAME, "main.default.leavers")
seen["renamed"] = mlflow.pyfunc.load_model("models:/main.default.leavers/1").predict(inputs).tolist()
client.delete_registered_model("main.default.leavers")
seen["left"] = [found.name for found in client.search_registered_models()]

# -- as an owner who is no administrator, a reader with EXECUTE and a stranger; profiles hold their tokens
TEAM = "main.team.churn"
for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
    del os.environ[name]  # they would win over a profile


def visible():
    return [found.name for found in MlflowClient().search_registered_models()]


def predicted(uri):
    return mlflow.pyfunc.load_model(uri).predict(inputs).tolist()


mlflow.set_registry_uri("databricks-uc://ann")
seen["owner"] = [mlflow.register_model(downloaded, TEAM).version, mlflow.register_model(downloaded, TEAM).version]
MlflowClient().set_registered_model_alias(TEAM, "Champion", "2")
seen["owner"] += [MlflowClient().get_model_version(TEAM, "1").user_id, predicted(f"models:/{TEAM}@Champion"), visible()]
for who in ("rea", "stan"):
    mlflow.set_registry_uri(f"databricks-uc://{who}")
    client = MlflowClient()
    seen[who] = {
        "sees": visible(),
        "registers": refused(mlflow.register_model, downloaded, TEAM)[0],
        "moves alias": refused(client.set_registered_model_alias, TEAM, "Champion", "1")[0],
        "deletes": refused(client.delete_registered_model, TEAM)[0],
    }
    if who == "rea":
        seen[who]["loads"] = predicted(f"models:/{TEAM}@Champion")
        seen[who]["finds"] = [found.version for found in client.search_model_versions(f"name='{TEAM}'")]
    else:
        seen[who]["loads"] = refused(predicted, f"models:/{TEAM}/1")[0]
        seen[who]["finds"] = [found.version for found in client.search_model_versions(f"name='{TEAM}'")]
        seen[who]["own"] = mlflow.register_model(downloaded, "main.default.stans").version
mlflow.set_registry_uri("databricks-uc://ann")
MlflowClient().rename_registered_model(TEAM, "main.team.leavers")
mlflow.set_registry_uri("databricks-uc://rea")
seen["after rename"] = predicted("models:/main.team.leavers@Champion")
print(json.dumps(seen))
