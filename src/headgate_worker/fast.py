"""A proven way to a model's answers, for one request or several. Made by `proving`, called by `scoring`."""

from __future__ import annotations

import math
from typing import Any, Callable, List, NamedTuple, Sequence

from headgate_worker.compiled import RowsDecoder


class NotSplittable(Exception):
    """Predictions do not come one per row."""


class FastPath(NamedTuple):
    """How a model is asked."""

    decoder: RowsDecoder
    build: Callable[[Sequence[Any]], Any]
    """`Rows.values` of one request or several joined → what the model is given."""
    predict: Callable[[Any], Any]
    rows_of: Callable[[Any], List[Any]]
    """Predictions → JSON-like values, one per row. Raises NotSplittable."""
    joins: bool
    """Whether several requests may be given at once."""
    is_joint: bool
    """Whether they are then predicted in one call; otherwise one after the other."""
    is_native: bool
    """Whether no code of the user's runs."""
    is_ordered: bool = True
    """Whether answers are MLflow's to the last bit; otherwise but for the rounding of numbers."""

    def predictions(self, batch: Sequence[Any]) -> List[Any]:
        """JSON-like predictions of all requests (their `Rows.values`), one per row. Raises whatever the model does, and
        NotSplittable."""
        if self.is_joint or len(batch) == 1:
            return self.rows_of(self.predict(self.build(batch)))
        return [item for values in batch for item in self.rows_of(self.predict(self.build([values])))]


def close(one: Any, other: Any) -> bool:
    """Whether two JSON-like values are equal but for the rounding of numbers."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) or (one != one and other != other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(each, other[key]) for key, each in one.items())
    return bool(one == other)


def rows_reader() -> Callable[[Any], List[Any]]:
    """`FastPath.rows_of`: the conversions that MLflow makes of whole predictions."""
    import numpy
    import pandas

    array_type = numpy.ndarray

    def rows_of(raw: Any) -> List[Any]:
        if isinstance(raw, array_type) and raw.ndim:
            return raw.tolist()  # type: ignore[no-any-return]
        if isinstance(raw, pandas.Series):
            raw = pandas.DataFrame(raw)
        if isinstance(raw, pandas.DataFrame):
            return raw.to_dict(orient="records")  # type: ignore[no-any-return]
        if isinstance(raw, list):
            return raw
        raise NotSplittable(type(raw).__name__)

    return rows_of
