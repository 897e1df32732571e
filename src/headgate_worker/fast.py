"""A proven way to a model's answers, for one request or several. Made by `proving`, called by `scoring`."""

from __future__ import annotations

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
    """Whether MLflow's own answers are the same each time, to the last bit."""

    def predictions(self, batch: Sequence[Any]) -> List[Any]:
        """JSON-like predictions of all requests (their `Rows.values`), one per row. Raises whatever the model does, and
        NotSplittable."""
        if self.is_joint or len(batch) == 1:
            return self.rows_of(self.predict(self.build(batch)))
        return [item for values in batch for item in self.rows_of(self.predict(self.build([values])))]


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
