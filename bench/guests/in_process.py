"""What large bodies cost without a server. Run by `bench.large` in the model's environment: `python bench/guests/in_process.py MODEL BODY`.

For every line on standard input: one JSON decode, a frame made by hand, `predict`, one JSON encode; prints the seconds it took. The
first line printed is the predictions. JSON is orjson where the environment has it, as in our worker. Imports nothing of the project.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy
import pandas

try:
    import orjson

    decode, encode = orjson.loads, orjson.dumps
except ImportError:
    decode, encode = json.loads, json.dumps  # type: ignore[assignment]


def main(folder: str, body: bytes) -> None:
    model = mlflow.pyfunc.load_model(folder)
    print(json.dumps(predict(model, body)), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        encode({"predictions": predict(model, body)})
        print(time.perf_counter() - began, flush=True)


def predict(model: Any, body: bytes) -> list[float]:
    split = decode(body)["dataframe_split"]
    frame = pandas.DataFrame(numpy.array(split["data"]), columns=split["columns"])
    return list(model.predict(frame).tolist())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).read_bytes())
