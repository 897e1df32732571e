"""A request's body → what `predict` gets: MLflow's scoring protocol with MLflow's meaning and messages. Called by `scoring`.

Stands on the parsing functions of that environment's MLflow (`proto_json_utils`), not on its scoring server, which needs a web
framework in some versions. MLflow is imported when a `BodyDecoder` is made, never with this module.
"""

from __future__ import annotations

import io
import json
import re
import traceback
from functools import lru_cache
from typing import Any, Callable, Dict, FrozenSet, NamedTuple, Optional, Tuple

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
CONTENT_TYPES = [CSV, JSON, PARQUET]
_FORMATS = ("dataframe_records", "dataframe_split", "inputs", "instances")
_UNIFIED_KEYS = ("messages", "prompt", "input")
_SIBLINGS = frozenset({"client_request_id", "usage_context", "databricks_options", "extra_params"})
"""For the platform, not for the model."""
_SHOWN_LIMIT = 8192
_LONG_NUMBER = re.compile(rb"[0-9]{19}")

_REQUIRED_FORMAT = "The input must be a JSON dictionary with exactly one of the input fields {%s}" % ", ".join(
    repr(name) for name in _FORMATS
)
_PROTOCOL_CHANGED = (
    "IMPORTANT: The MLflow Model scoring protocol has changed in MLflow version 2.0. If you are seeing this error, you are"
    " likely using an outdated scoring request format. To resolve the error, either update your request format or adjust your"
    " MLflow Model's requirements file to specify an older version of MLflow (for example, change the 'mlflow' requirement"
    " specifier to 'mlflow==1.30.0'). If you are making a request using the MLflow client (e.g. via"
    " `mlflow.pyfunc.spark_udf()`), upgrade your MLflow client to a version >= 2.0 in order to use the new request format. For"
    " more information about the updated MLflow Model scoring protocol in MLflow 2.0, see"
    " https://mlflow.org/docs/latest/models.html#deploy-mlflow-models."
)
_NOT_A_DATAFRAME = (
    "Failed to parse input as a Pandas DataFrame. Ensure that the input is a valid %s Pandas DataFrame produced using the"
    " `pandas.DataFrame.%s()` method. Error: '%s'"
)


class Request(NamedTuple):
    """A decoded body."""

    data: Any
    params: Optional[Dict[str, Any]] = None
    is_unified: bool = False
    """Chat-like input, passed as it is; its answer is not wrapped in `predictions`."""
    wants_stream: bool = False


@lru_cache(maxsize=64)
def media_type(content_type: str) -> Tuple[str, str]:
    """(media type, "") or ("", why it is not supported: the text of a 415)."""
    parts = [part.strip() for part in content_type.split(";")]
    parameters = {key.lower(): value for key, _, value in (part.partition("=") for part in parts[1:] if part)}
    if parameters.get("charset", "utf-8").strip('"').lower() != "utf-8":
        return "", "The scoring server only supports UTF-8"
    unexpected = [name for name in parameters if name != "charset"]
    if unexpected:
        return "", f"Unrecognized content type parameters: {', '.join(unexpected)}. {_PROTOCOL_CHANGED}"
    media = parts[0].lower()
    if media not in CONTENT_TYPES:
        types = f"This predictor only supports the following content types: Types: {CONTENT_TYPES}."
        return "", f"{types} Got '{content_type}'."
    return media, ""


def shortened(value: Any) -> str:
    """A value as text for a message."""
    text = str(value)
    return text if len(text) <= _SHOWN_LIMIT else f"{text[:_SHOWN_LIMIT]}… ({len(text)} characters)"


class BodyDecoder:
    """Decodes for one model. Methods raise MlflowException for what the client did wrong."""

    def __init__(self, metadata: Any) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import BAD_REQUEST, INVALID_PARAMETER_VALUE
        from mlflow.utils.proto_json_utils import dataframe_from_parsed_json, parse_tf_serving_input

        self._error, self._bad_request, self._invalid = MlflowException, BAD_REQUEST, INVALID_PARAMETER_VALUE
        self._to_dataframe, self._to_tensors = dataframe_from_parsed_json, parse_tf_serving_input
        self._schema = metadata.get_input_schema()
        self._params: FrozenSet[str] = frozenset(
            _names(getattr(metadata, "get_params_schema", lambda: None)(), "params")
        )
        from_type_hint = getattr(metadata, "_is_signature_from_type_hint", None)
        self._is_typed = bool(from_type_hint and from_type_hint())
        self._ignored = _SIBLINGS - self._params - frozenset(_names(self._schema, "inputs"))
        self._parse = parser()
        self._by_type: Dict[str, Callable[[bytes], Request]] = {
            JSON: self._json,
            CSV: self._csv,
            PARQUET: self._parquet,
        }

    def decode(self, media: str, body: bytes) -> Request:
        """`media` as `media_type` returned it."""
        return self._by_type[media](body)

    def _json(self, body: bytes) -> Request:
        value = self.parsed(body)
        if any(key in value for key in _UNIFIED_KEYS):
            return self.unified(value)
        wants_stream = value.get("stream") is True
        data = {key: value[key] for key in value if key in _FORMATS}
        return Request(self._formatted(data), value.get("params"), False, wants_stream)

    def unified(self, value: Dict[str, Any]) -> Request:
        """Chat-like input: the model gets all of it."""
        params = {key: each for key, each in value.items() if key in self._params}
        data = {key: each for key, each in value.items() if key not in params and key not in self._ignored}
        return Request(data, params, True, value.get("stream") is True)

    def _formatted(self, data: Dict[str, Any]) -> Any:
        if self._is_typed:
            if "inputs" in data:
                return data["inputs"]
            raise self._error(
                "Request payload must be a dictionary with 'inputs' key when the model contains a valid type hint. "
                f"Found keys in payload: {data.keys()}.",
                error_code=self._invalid,
            )
        if len(data) != 1:
            received = f"Received dictionary with input fields: {list(data)}"
            raise self._failure(f"{_REQUIRED_FORMAT}. {received}. {_PROTOCOL_CHANGED}")
        (name,) = data
        if name.startswith("dataframe_"):
            return self._to_dataframe(data[name], pandas_orient=name[len("dataframe_") :], schema=self._schema)
        return self._to_tensors(data, schema=self._schema)

    def parsed(self, body: bytes) -> Dict[str, Any]:
        """A body as a dict."""
        try:
            value = self._parse(body)
        except (ValueError, RecursionError) as error:
            problem = (
                f"Ensure that input is a valid JSON formatted string. Error: '{error!r}'\nInput: \n{shortened(body)}\n"
            )
            raise self._invalid_input(problem) from error
        if isinstance(value, dict):
            return value
        if isinstance(value, list):
            raise self._invalid_input(f"{_REQUIRED_FORMAT}. Received a list.")
        raise self._invalid_input(f"{_REQUIRED_FORMAT}. Received unexpected input type '{type(value)}.")

    def _csv(self, body: bytes) -> Request:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._invalid_input(
                f"Ensure that input is a valid UTF-8 encoded string. Error: '{error!r}'"
            ) from error
        import pandas

        try:
            schema = self._schema
            types = None if schema is None else dict(zip(schema.input_names(), schema.pandas_types()))
            return Request(pandas.read_csv(io.StringIO(text), dtype=types))
        except Exception as error:
            raise self._not_a_dataframe("CSV-formatted", "to_csv", error) from error

    def _parquet(self, body: bytes) -> Request:
        import pandas

        try:
            return Request(pandas.read_parquet(io.BytesIO(body)))
        except Exception as error:
            raise self._not_a_dataframe("Parquet", "to_parquet", error) from error

    def _invalid_input(self, problem: str) -> Exception:
        return self._failure(f"Invalid input. {problem}")

    def _not_a_dataframe(self, kind: str, method: str, error: Exception) -> Exception:
        message = _NOT_A_DATAFRAME % (kind, method, error)
        return self._failure(message, stack_trace=traceback.format_exc())

    def _failure(self, message: str, **more: str) -> Exception:
        failure: Exception = self._error(message, error_code=self._bad_request, **more)
        return failure


def _names(schema: Any, attribute: str) -> Tuple[str, ...]:
    return tuple(str(each.name) for each in getattr(schema, attribute, None) or () if each.name is not None)


def parser(exact: bool = True) -> Callable[[bytes], Any]:
    """orjson where the environment has it; what it refuses (NaN, other encodings) or would round (integers beyond 64 bits)
    is judged by `json`, as MLflow does. Not `exact`: orjson alone, whose refusal is a ValueError."""
    try:
        import orjson
    except ImportError:
        return json.loads
    fast, long_number = orjson.loads, _LONG_NUMBER.search
    if not exact:
        return fast

    def parse(body: bytes) -> Any:
        if long_number(body):
            return json.loads(body)
        try:
            return fast(body)
        except ValueError:
            return json.loads(body)

    return parse
