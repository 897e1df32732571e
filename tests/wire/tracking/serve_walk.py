"""Run by the tests in a client's environment: registers a model whose predict is traced. Prints one line of JSON."""

import json
import sys

import mlflow
import pandas as pd
from mlflow.models import infer_signature


class Traced(mlflow.pyfunc.PythonModel):
    @mlflow.trace(name="answering")
    def predict(self, context, model_input, params=None):
        import os

        with mlflow.start_span("looking") as span:
            span.set_inputs({"rows": len(model_input)})
        if model_input["number"].iloc[0] < 0:
            # What model code can reach and say with what it was given.
            import urllib.error
            import urllib.request

            told = []
            url, token = os.environ["MLFLOW_TRACKING_URI"], os.environ["MLFLOW_TRACKING_TOKEN"]
            for method, path, body in json.loads(os.environ["ATTEMPTS"]):
                request = urllib.request.Request(url + path, data=body.encode() if body else None, method=method)
                request.add_header("Authorization", f"Bearer {token}")
                request.add_header("Content-Type", "application/json")
                try:
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        told.append(answer.status)
                except urllib.error.HTTPError as error:
                    told.append(error.code)
            return [float(status) for status in told]
        return [float(number) * 2 for number in model_input["number"]]


requirements = [f"mlflow=={mlflow.__version__}", f"pandas=={pd.__version__}"]
signature = infer_signature(pd.DataFrame({"number": [1.0]}), [2.0])
experiment = mlflow.set_experiment(sys.argv[1])
other = mlflow.create_experiment(f"{sys.argv[1]} other")
with mlflow.start_run():
    mlflow.pyfunc.log_model(
        name="model", python_model=Traced(), signature=signature, pip_requirements=requirements,
        registered_model_name="main.default.traced",
    )  # fmt: skip
print(json.dumps({"experiment": experiment.experiment_id, "other": other}))
