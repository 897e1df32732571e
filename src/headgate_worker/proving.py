"""Looks for a faster way to MLflow's own answers, and proves it before it is used: what the model would be given, what it answers,
alone and joined with other rows. Called once by `scoring.Scorer.prove`, before a worker is READY.
"""

from __future__ import annotations

import os
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

from headgate_worker.compiled import RowsDecoder, layout_of
from headgate_worker.decoding import BodyDecoder
from headgate_worker.frames import FrameBuilder
from headgate_worker.rows import Rows
from headgate_worker.unchecked import without_schema

BATCHING, NATIVE_PREDICT = "HEADGATE_BATCHING", "HEADGATE_NATIVE_PREDICT"
"""Variables of the served entity: `on`, `off`, `auto` (the default)."""


class NotSplittable(Exception):
    """Predictions do not come one per row."""


class Proof(NamedTuple):
    """What was found."""

    joins: bool
    is_native: bool
    way: str
    """`native`, `compiled` (MLflow's predict behind the compiled decoder) or `mlflow`."""
    why: str = ""
    """What stood against more."""


class FastPath(NamedTuple):
    """A way to MLflow's own answers."""

    decoder: RowsDecoder
    build: Callable[[Sequence[Rows]], Any]
    """What the model is given, for one request or several joined."""
    predict: Callable[[Any], Any]
    rows_of: Callable[[Any], List[Any]]
    """Predictions → JSON-like values, one per row. Raises NotSplittable."""
    joins: bool
    is_native: bool

    def items(self, batch: Sequence[Rows]) -> List[Any]:
        """JSON-like predictions, one per row of the batch. Raises whatever the model does, and NotSplittable."""
        items = self.rows_of(self.predict(self.build(batch)))
        if len(items) != sum(rows.count for rows in batch):
            raise NotSplittable(f"{len(items)} predictions")
        return items


def prove(model: Any, decoder: BodyDecoder, example: Optional[bytes]) -> Tuple[Optional[FastPath], Proof]:
    """The fast path of a model (`mlflow.pyfunc.PyFuncModel`), if it has one. `decoder` is MLflow's way to read a body."""
    try:
        layout = layout_of(model.metadata)
        predict = None if layout is None else without_schema(model)
        if layout is None or predict is None:
            return None, Proof(False, False, "mlflow", "its signature is not compiled")
        frames = FrameBuilder(layout)
        joins = os.environ.get(BATCHING, "auto").strip().lower() == "on"
        fast = FastPath(
            RowsDecoder(layout),
            lambda batch: frames.frame([rows.values for rows in batch]),
            predict,
            _rows_reader(),
            joins,
            False,
        )
        return fast, Proof(joins, False, "compiled")
    except Exception as error:
        return None, Proof(False, False, "mlflow", f"{type(error).__name__}: {error}")


def _rows_reader() -> Callable[[Any], List[Any]]:
    import numpy
    import pandas

    def rows_of(raw: Any) -> List[Any]:
        if isinstance(raw, numpy.ndarray) and raw.ndim:
            return raw.tolist()  # type: ignore[no-any-return]
        if isinstance(raw, pandas.Series):
            raw = pandas.DataFrame(raw)
        if isinstance(raw, pandas.DataFrame):
            return raw.to_dict(orient="records")  # type: ignore[no-any-return]
        if isinstance(raw, list):
            return raw
        raise NotSplittable(type(raw).__name__)

    return rows_of
