"""LitServe with its batching on, as its documentation shows it: `python batched.py PORT`, MODEL names the folder."""

import os
import sys
from typing import Any

import litserve
import mlflow.pyfunc
import pandas


class Predictions(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = mlflow.pyfunc.load_model(os.environ["MODEL"])

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe reads annotations: with one it is a query parameter
        return request["dataframe_split"]

    def batch(self, inputs: list[dict[str, Any]]) -> pandas.DataFrame:
        return pandas.DataFrame([row for split in inputs for row in split["data"]], columns=inputs[0]["columns"])

    def predict(self, frame: pandas.DataFrame) -> Any:
        return self.model.predict(frame)

    def unbatch(self, output: Any) -> list[Any]:
        return [output[i : i + 1] for i in range(len(output))]

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    api = Predictions(max_batch_size=32, batch_timeout=0.002)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, num_api_servers=1, log_level="warning"
    )
