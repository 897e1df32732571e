"""Answers a table of requests with the worker's scorer and with MLflow's own scoring server; prints both as JSON.

Arguments: the guest's folder, the models' folder. Run by the environment under test.
"""

import json
import os
import sys
from pathlib import Path

os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
sys.path.insert(0, sys.argv[1])

import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from headgate_worker.scoring import Scorer

JSON, CSV = "application/json", "text/csv"
ROWS = {"l": [1, 2], "i": [3, 4], "d": [0.5, 1.5], "f": [0.25, 2.5], "s": ["x", "y"], "b": [True, False]}
ROWS["t"] = ["2024-01-02", "2024-01-03T04:05:06"]
RECORDS = [{name: values[number] for name, values in ROWS.items()} for number in range(2)]
SPLIT = {"columns": list(ROWS), "data": [list(row.values()) for row in RECORDS]}
BINARY = [{**row, "x": "YWJj"} for row in RECORDS]


def without(name):
    return [{key: value for key, value in row.items() if key != name} for row in RECORDS]


def changed(**more):
    return [{**row, **more} for row in RECORDS]


def typed():
    yield "records", {"dataframe_records": RECORDS}
    yield "split", {"dataframe_split": SPLIT}
    yield "split with index", {"dataframe_split": {**SPLIT, "index": [7, 8]}}
    yield "inputs", {"inputs": ROWS}
    yield "instances", {"instances": RECORDS}
    yield "inputs of records", {"inputs": RECORDS}
    yield "binary", {"dataframe_records": BINARY}
    yield "params", {"dataframe_records": RECORDS, "params": {"scale": 2.5, "names": ["p", "q"]}}
    yield "integer for a double parameter", {"dataframe_records": RECORDS, "params": {"scale": 2}}
    yield "unknown parameter", {"dataframe_records": RECORDS, "params": {"other": 1}}
    yield "wrong parameter type", {"dataframe_records": RECORDS, "params": {"scale": "much"}}
    yield "parameters that are no dictionary", {"dataframe_records": RECORDS, "params": [1]}
    yield "siblings", {"dataframe_records": RECORDS, "client_request_id": "c", "usage_context": {"a": "b"}}
    yield "extra column", {"dataframe_records": changed(more=1)}
    yield "missing column", {"dataframe_records": without("d")}
    yield "missing columns", {"dataframe_records": [{"l": 1}]}
    yield "text for a number", {"dataframe_records": changed(d="much")}
    yield "number for text", {"dataframe_records": changed(s=5)}
    yield "double for a long", {"dataframe_records": changed(l=1.5)}
    yield "long for a double", {"dataframe_records": changed(d=2)}
    yield "null for a double", {"dataframe_records": changed(d=None)}
    yield "null for a long", {"dataframe_records": changed(l=None)}
    yield "null for text", {"dataframe_records": changed(s=None)}
    yield "bad date", {"dataframe_records": changed(t="tomorrow-ish")}
    yield "number for a boolean", {"dataframe_records": changed(b=2)}
    yield "no rows", {"dataframe_records": []}
    yield "records that are a dictionary", {"dataframe_records": {"l": [1]}}
    yield "records that are text", {"dataframe_records": "x"}
    yield "split that is a list", {"dataframe_split": [1]}
    yield "split without data", {"dataframe_split": {"columns": ["l"]}}
    yield "split of unequal rows", {"dataframe_split": {"columns": ["l", "i"], "data": [[1]]}}
    yield "unequal lengths", {"inputs": {**ROWS, "l": [1]}}
    yield "instances of unequal rows", {"instances": [RECORDS[0], {"l": 1}]}
    yield "two formats", {"inputs": ROWS, "instances": RECORDS}
    yield "no format", {"rows": [1]}
    yield "empty", {}
    yield "only parameters", {"params": {"scale": 1.0}}
    yield "NaN in JSON", json.dumps({"dataframe_records": changed(d=float("nan"))})


def untyped():
    yield "records", {"dataframe_records": [{"a": 1, "b": None}, {"a": 2.5, "b": "x"}]}
    yield "split", {"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}}
    yield "split without columns", {"dataframe_split": {"data": [[1, 2]]}}
    yield "tensor", {"inputs": [[1, 2], [3, 4]]}
    yield "named tensors", {"inputs": {"a": [1], "b": [[1.5]]}}
    yield "instances", {"instances": [1, 2, 3]}
    yield "instances with names", {"instances": [{"a": 1}, {"a": 2}]}
    yield "scalar", {"inputs": 5}
    yield "text", {"inputs": "hello"}
    yield "ragged", {"inputs": [[1], [1, 2]]}
    yield "parameters without a schema", {"inputs": [1], "params": {"a": 1}}
    yield "messages", {"messages": [{"role": "user", "content": "hi"}], "temperature": 0.1}
    yield "prompt", {"prompt": "hi", "max_tokens": 5}
    yield "input", {"input": ["a", "b"]}
    yield "list", [1, 2]
    yield "number", "5"
    yield "no JSON", "{broken"
    yield "no UTF-8", b'{"inputs": "\xff"}'
    yield "nothing", ""
    yield "big integers", {"inputs": [2**70]}
    yield "deep", "[" * 100_000
    yield "duplicate keys", '{"inputs": [1], "inputs": [2]}'


def tensors():
    yield "good", {"inputs": [[1, 2], [3, 4]]}
    yield "instances", {"instances": [[1.5, 2.5]]}
    yield "wrong shape", {"inputs": [[1, 2, 3]]}
    yield "text", {"inputs": [["a", "b"]]}
    yield "dictionary", {"inputs": {"a": [1]}}
    yield "dataframe", {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}


def named_tensors():
    yield "inputs", {"inputs": {"a": [[1, 2]], "b": [1]}}
    yield "instances", {"instances": [{"a": [1.0, 2.0], "b": 3}]}
    yield "missing", {"inputs": {"a": [[1, 2]]}}
    yield "extra", {"inputs": {"a": [[1, 2]], "b": [1], "c": [2]}}
    yield "wrong shape", {"inputs": {"a": [[1]], "b": [1]}}


def of_kind(*kinds):
    for kind in kinds:
        yield kind, {"dataframe_records": [{"kind": kind}]}


SHAPES = ("frame", "series", "float32", "matrix", "objects", "nan", "nan in numpy", "dates", "integer keys", "tuple")
SHAPES = (*SHAPES, "numpy scalars", "big integer", "bytes", "text", "none", "lone surrogate")

NUMBERS = {"l": [1, -(2**60)], "i": [2, -3], "d": [0.5, 2], "f": [0.1, 7], "b": [True, False]}
NUMBER_RECORDS = [{name: values[number] for name, values in NUMBERS.items()} for number in range(2)]
NUMBER_SPLIT = {"columns": list(NUMBERS), "data": [list(row.values()) for row in NUMBER_RECORDS]}

CASES = [
    *(("typed", JSON, name, body) for name, body in typed()),
    *(("echo", JSON, name, body) for name, body in untyped()),
    *(("tensor", JSON, name, body) for name, body in tensors()),
    *(("named_tensors", JSON, name, body) for name, body in named_tensors()),
    *(("shapes", JSON, name, body) for name, body in of_kind(*SHAPES)),
    *(("raises", JSON, name, body) for name, body in of_kind("value error", "mlflow 404", "mlflow 500", "fine")),
    ("chat_with_params", JSON, "parameter beside the prompt", {"prompt": "hi", "temperature": 0.9}),
    ("chat_with_params", JSON, "default parameter", {"prompt": "hi"}),
    ("chat_with_params", JSON, "wrong parameter", {"prompt": "hi", "temperature": "hot"}),
    ("sklearn", JSON, "records", {"dataframe_records": [{"a": 1, "b": 2}]}),
    ("sklearn", JSON, "other order", {"dataframe_split": {"columns": ["b", "a"], "data": [[2.0, 1.0]]}}),
    ("sklearn", JSON, "split", {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2.5], [0.1, None]]}}),
    ("sklearn", JSON, "columns", {"inputs": {"a": [1.5, 2], "b": [0.25, -1]}}),
    ("sklearn", JSON, "single values", {"inputs": {"a": 1.5, "b": 2}}),
    ("sklearn", JSON, "instances", {"instances": [{"b": 1.5, "a": 2}]}),
    ("sklearn", JSON, "null", {"instances": [{"b": None, "a": 2}]}),
    ("numbers", JSON, "split", {"dataframe_split": NUMBER_SPLIT}),
    ("numbers", JSON, "records", {"dataframe_records": NUMBER_RECORDS}),
    ("numbers", JSON, "columns", {"inputs": NUMBERS}),
    ("numbers", JSON, "instances", {"instances": NUMBER_RECORDS}),
    ("sklearn", CSV, "good", "a,b\n1.0,2.0\n3.0,4.0\n"),
    ("sklearn", CSV, "integers", "a,b\n1,2\n"),
    ("sklearn", CSV, "text", "a,b\nx,y\n"),
    ("sklearn", CSV, "missing column", "a\n1.0\n"),
    ("sklearn", CSV, "empty", ""),
    ("echo", CSV, "no signature", "a,b\n1,x\n"),
    ("echo", "application/json; charset=utf-8", "charset", {"inputs": [1]}),
    ("echo", "application/json;charset=latin-1", "other charset", {"inputs": [1]}),
    ("echo", "application/json; version=2", "unknown parameter of the type", {"inputs": [1]}),
    ("echo", "text/plain", "other type", "hello"),
]


def ours(answer):
    return {"status": answer.status, "type": answer.content_type, "body": answer.body.decode()}


def theirs(model, content_type, body):
    try:
        answer = scoring_server.invocations(body, content_type, model, model.metadata.get_input_schema())
    except MlflowException as error:
        return {"status": error.get_http_status_code(), "type": JSON, "body": error.serialize_as_json()}
    except BaseException as error:
        return {"status": 500, "type": "", "body": f"{type(error).__name__}: {error}"[:500]}
    return {"status": answer.status, "type": answer.mimetype, "body": answer.response}


def main():
    models, told = {}, []
    for name, content_type, case, body in CASES:
        if name not in models:
            model = mlflow.pyfunc.load_model(str(Path(sys.argv[2]) / name))
            models[name] = (model, Scorer(model))
            models[name][1].prove(None)
        model, scorer = models[name]
        raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        both = {"ours": ours(scorer.score(content_type, raw)), "theirs": theirs(model, content_type, raw)}
        told.append({"case": f"{name}: {case} ({content_type})", **both})
        rows = scorer.rows(content_type, raw)
        if rows is not None:
            fast = {**both, "ours": ours(scorer.answer([rows])[0])}
            told.append({"case": f"{name}: {case} ({content_type}), fast", **fast})
    Path(sys.argv[3]).write_text(json.dumps(told))


main()
