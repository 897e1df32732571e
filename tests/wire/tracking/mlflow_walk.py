"""Run by the tests inside a client's environment: everything a user does with tracking through MLflow.

Arguments: a folder of its own, the name of its experiment. Prints one line of JSON with what it saw.
"""

import json
import sys
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

folder, name = Path(sys.argv[1]), sys.argv[2]
old = mlflow.__version__.startswith("2.")
client = MlflowClient()
seen = {"absent": client.get_experiment_by_name(name)}
experiment = mlflow.set_experiment(name)

# -- runs ----------------------------------------------------------------------------------------------------------------
inputs = np.array([[0.0], [1.0]])
model = LogisticRegression().fit(inputs, [0, 1])
with mlflow.start_run(run_name="first", tags={"mlflow.user": "mallory", "team": "growth"}) as run:
    mlflow.log_params({"depth": 3, "kind": "tree"})
    mlflow.log_metrics({"loss": 0.5, "odd": float("nan")})
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_dict({"answer": 42}, "deep/er/answer.json")
    mlflow.log_text("hello", "hello.txt")
    mlflow.log_input(mlflow.data.from_numpy(inputs, name="inputs"), context="training")
    signature = infer_signature(inputs, model.predict(inputs))
    where = {"artifact_path": "model"} if old else {"name": "model"}
    logged = mlflow.sklearn.log_model(model, signature=signature, pip_requirements=["scikit-learn"], **where)
run_id = run.info.run_id
found = client.get_run(run_id)
seen["user"] = [found.info.user_id, found.data.tags["mlflow.user"], found.data.tags["team"]]
seen["params"] = found.data.params
seen["loss"] = [found.data.metrics["loss"], [m.value for m in client.get_metric_history(run_id, "loss")][-5:]]
seen["nan"] = str(found.data.metrics["odd"])
seen["dataset"] = [one.dataset.name for one in found.inputs.dataset_inputs]
searched = mlflow.search_runs(experiment_names=[name], filter_string="metrics.loss < 0.3 and params.kind = 'tree'")
seen["searched"] = searched["run_id"].tolist() == [run_id]
client.set_tag(run_id, "mlflow.user", "mallory")
seen["still"] = client.get_run(run_id).data.tags["mlflow.user"]

# -- artifacts -----------------------------------------------------------------------------------------------------------
seen["root"] = found.info.artifact_uri.replace(run_id, "RUN").replace(f"/{experiment.experiment_id}/", "/EXPERIMENT/")
seen["listed"] = [one.path for one in client.list_artifacts(run_id) if one.path != "model"]
seen["deep"] = [[one.path, one.file_size] for one in client.list_artifacts(run_id, "deep/er")]
seen["of a file"] = client.list_artifacts(run_id, "hello.txt")
seen["text"] = mlflow.artifacts.load_text(f"{found.info.artifact_uri}/hello.txt")
downloaded = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="deep", dst_path=str(folder))
seen["downloaded"] = json.loads((Path(downloaded) / "er" / "answer.json").read_text())
seen["loaded"] = mlflow.sklearn.load_model(logged.model_uri).predict(inputs).tolist()
if not old:
    seen["logged model"] = [
        one.name for one in mlflow.search_logged_models([experiment.experiment_id], output_format="list")
    ]


# -- traces --------------------------------------------------------------------------------------------------------------
@mlflow.trace
def double(number):
    with mlflow.start_span("inner") as span:
        span.set_inputs({"number": number})
        span.set_outputs(number * 2)
    return number * 2


double(21)
mlflow.flush_trace_async_logging()
traces = client.search_traces(experiment_ids=[experiment.experiment_id])
(trace,) = traces
trace_id = trace.info.request_id if old else trace.info.trace_id
seen["trace"] = [
    str(getattr(trace.info.status, "value", trace.info.status)),
    sorted(one.name for one in trace.data.spans),
]
client.set_trace_tag(trace_id, "color", "blue")
again = client.get_trace(trace_id)
seen["tagged"] = again.info.tags["color"]
seen["spans again"] = [one.outputs for one in again.data.spans if one.name == "inner"]
if not old:
    mlflow.log_feedback(trace_id=trace_id, name="good", value=True, rationale="because")
    seen["feedback"] = [one.name for one in client.get_trace(trace_id).info.assessments]
    by_tag = mlflow.search_traces(
        locations=[experiment.experiment_id], filter_string="tags.color = 'blue'", return_type="list"
    )
    seen["by tag"] = len(by_tag)

# -- ends ----------------------------------------------------------------------------------------------------------------
client.delete_run(run_id)
seen["deleted"] = [client.get_run(run_id).info.lifecycle_stage, len(client.search_runs([experiment.experiment_id]))]
client.restore_run(run_id)
client.rename_experiment(experiment.experiment_id, f"{name} renamed")
seen["renamed"] = client.get_experiment(experiment.experiment_id).name == f"{name} renamed"


def refused(call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except MlflowException as error:
        return error.error_code
    raise AssertionError(f"{call} should have been refused")


seen["refusals"] = [
    refused(client.get_run, "0" * 32),
    refused(client.get_experiment, "987654321"),
    refused(client.create_experiment, f"{name} renamed"),
    refused(client.create_experiment, f"{name} elsewhere", artifact_location="file:///etc"),
]
print(json.dumps(seen))
