"""Run by the tests inside a client's environment: from a run to a registered model and back. Prints one line of JSON."""

import json

import mlflow
import numpy as np
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

NAME = "main.default.tracked"
inputs = np.array([[0.0], [1.0]])
model = LogisticRegression().fit(inputs, [0, 1])
signature = infer_signature(inputs, model.predict(inputs))
mlflow.set_experiment("registering")
with mlflow.start_run() as run:
    logged = mlflow.sklearn.log_model(
        model, name="model", signature=signature, pip_requirements=["scikit-learn"], registered_model_name=NAME
    )
version = mlflow.MlflowClient().get_model_version(NAME, "1")
seen = {"version": version.version, "run": version.run_id == run.info.run_id}
seen["predicted"] = mlflow.pyfunc.load_model(f"models:/{NAME}/1").predict(inputs).tolist()
seen["from run"] = mlflow.register_model(logged.model_uri, NAME).version
print(json.dumps(seen))
