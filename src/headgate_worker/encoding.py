"""What `predict` returned → JSON, with MLflow's conversions. Always valid JSON: NaN and infinities become null.

MLflow and orjson (where the environment has it) are imported when an `AnswerEncoder` is made, never with this module.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, Callable, Dict, Optional


class NotEncodable(Exception):
    """The value has a part that JSON cannot hold."""


class AnswerEncoder:
    """Encodes for one model. Methods raise NotEncodable."""

    def __init__(self) -> None:
        from mlflow.utils.proto_json_utils import NumpyEncoder, _get_jsonable_obj

        self._convert = NumpyEncoder().default
        self._to_json_types = _get_jsonable_obj
        self._fast = _accelerator(self._default)

    def predictions(self, raw: Any) -> bytes:
        """`{"predictions": …}`."""
        return self.encode({"predictions": self._to_json_types(raw, pandas_orient="records")})

    def unwrapped(self, raw: Any) -> bytes:
        """The value itself: answers to chat-like input, and pieces of a stream."""
        return self.encode(self._to_json_types(raw, pandas_orient="records"))

    def encode(self, value: Any) -> bytes:
        """Any JSON-like value."""
        if self._fast is not None:
            try:
                return self._fast(value)
            except TypeError:
                pass  # e.g. an integer beyond 64 bits, which json can
        try:
            return _dump(value, self._default)
        except (TypeError, ValueError, RecursionError) as error:
            try:
                return _dump(_finite(value, self._default), self._default)
            except (TypeError, ValueError, RecursionError):
                raise NotEncodable(f"{type(error).__name__}: {error}") from error

    def _default(self, value: Any) -> Any:
        if isinstance(value, (tuple, set, frozenset)):
            return list(value)
        try:
            return self._convert(value)
        except TypeError:
            if hasattr(value, "model_dump"):
                return value.model_dump()
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                return dataclasses.asdict(value)
            if hasattr(value, "to_dict"):
                return value.to_dict()
            raise


def _dump(value: Any, default: Callable[[Any], Any]) -> bytes:
    return json.dumps(value, default=default, allow_nan=False, separators=(",", ":")).encode()


def _accelerator(default: Callable[[Any], Any]) -> Optional[Callable[[Any], bytes]]:
    try:
        import orjson
    except ImportError:
        return None
    # Dates as MLflow writes them; numpy numbers are not handed to orjson, which would shorten 32-bit ones.
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
    dumps = orjson.dumps
    return lambda value: dumps(value, default, options)


def _finite(value: Any, default: Callable[[Any], Any]) -> Any:
    """The same value without NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, dict):
        finite: Dict[Any, Any] = {key: _finite(each, default) for key, each in value.items()}
        return finite
    if isinstance(value, (list, tuple)):
        return [_finite(each, default) for each in value]
    return _finite(default(value), default)
