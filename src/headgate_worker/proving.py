"""Looks for a faster way to MLflow's own answers, and proves it before it is used: what the model would be given, what it answers,
alone and joined with other rows. Called once by `scoring.Scorer.prove`, before a worker is READY. Never runs a user's own code.
"""

from __future__ import annotations

import os
import time
import warnings
from types import SimpleNamespace
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

from headgate_worker import native
from headgate_worker.compiled import Layout, RowsDecoder, layout_of
from headgate_worker.decoding import JSON, BodyDecoder
from headgate_worker.fast import FastPath, close, rows_reader
from headgate_worker.frames import FrameBuilder
from headgate_worker.samples import bodies, sample_rows
from headgate_worker.unchecked import without_schema

BATCHING, NATIVE_PREDICT = "HEADGATE_BATCHING", "HEADGATE_NATIVE_PREDICT"
"""Variables of the served entity: `on`, `off`, `auto` (the default)."""
_JOINED_CHECK_S = 0.004
_REPEATED = 5
"""Times the rows are repeated for one large batch: libraries compute those by other routines."""
_CHEAP_S = 0.0003
"""Predictions that cannot be joined are still taken several at once, one after the other, when each takes no longer."""


class Proof(NamedTuple):
    """What was found."""

    joins: bool
    is_native: bool
    way: str
    """`native` (a library's own predict), `compiled` (MLflow's predict behind the compiled decoder) or `mlflow`."""
    why: str = ""
    """What stood against more."""


class Subject(NamedTuple):
    """What is proven about whom."""

    model: Any
    """`mlflow.pyfunc.PyFuncModel`."""
    predict: Callable[[Any], Any]
    """MLflow's, for frames as its schema enforcement makes them."""
    layout: Layout
    decoder: RowsDecoder
    frames: FrameBuilder
    rows_of: Callable[[Any], List[Any]]


def prove(model: Any, reader: BodyDecoder, example: Optional[bytes]) -> Tuple[Optional[FastPath], Proof]:
    """The fast path of a model (`mlflow.pyfunc.PyFuncModel`), if it has one. `reader` is MLflow's way to read a body."""
    try:
        layout = layout_of(model.metadata)
        predict = None if layout is None else without_schema(model)
        if layout is None or predict is None:
            return None, Proof(False, False, "mlflow", "its signature is not one that is compiled")
        subject = Subject(model, predict, layout, RowsDecoder(layout), FrameBuilder(layout), rows_reader())
        different = _reads_differently(model.metadata.get_input_schema(), layout)
        if different:
            return None, Proof(False, False, "mlflow", different)
        why = "switched off"
        if _wish(NATIVE_PREDICT) != "off":
            with native.in_order(model) as is_forced:
                found, why = _native(subject, example)
            if found is not None:
                found = found._replace(is_ordered=found.is_ordered and not is_forced)
                return found, Proof(found.joins, True, "native", why)
        joins = _wish(BATCHING) == "on"
        return FastPath(subject.decoder, subject.frames.frame, predict, subject.rows_of, joins, joins, False), Proof(
            joins, False, "compiled", why
        )
    except Exception as error:  # a library that works otherwise than known; MLflow's own functions always do
        return None, Proof(False, False, "mlflow", f"{type(error).__name__}: {error}")


def _wish(variable: str) -> str:
    return os.environ.get(variable, "auto").strip().lower()


def _reads_differently(schema: Any, layout: Layout) -> str:
    """Whether this environment's MLflow and pandas make other frames of the same bodies, and how: columns of each kind in each
    format."""
    from mlflow.models.utils import _enforce_schema
    from mlflow.types import Schema

    chosen = {layout.codes.index(code) for code in layout.codes} | set(range(min(2, layout.width)))
    chosen = {0} if layout.is_matrix else chosen
    few = Schema([schema.inputs[number] for number in sorted(chosen)])
    told = SimpleNamespace(get_input_schema=lambda: few, get_params_schema=lambda: None)
    reader, small = BodyDecoder(told), layout_of(told)
    if small is None:
        return "its signature is not one that is compiled"
    decoder, frames = RowsDecoder(small), FrameBuilder(small)
    for body in bodies(small):
        rows = decoder.rows(JSON, body)
        if rows is None or _shape(frames.frame([rows.values])) != _shape(
            _enforce_schema(reader.decode(JSON, body).data, few)
        ):
            return f"this environment reads {body.decode()} differently"
    return ""


def _shape(frame: Any) -> Tuple[Any, ...]:
    """All that a model could see of a frame or an array."""
    if not hasattr(frame, "columns"):
        return type(frame), str(frame.dtype), frame.shape, frame.flags.c_contiguous, repr(frame.tolist())
    columns, index = frame.columns, frame.index
    kinds = [str(kind) for kind in frame.dtypes]
    return (
        type(columns),
        str(columns.dtype),
        list(columns),
        type(index),
        list(index),
        kinds,
        repr(frame.to_numpy().tolist()),
    )


# -- a library's own predict -----------------------------------------------------------------------------------------


def _native(subject: Subject, example: Optional[bytes]) -> Tuple[Optional[FastPath], str]:
    ways = native.ways(subject.model)
    first = next(ways, None)
    if first is None:
        return None, "its predictions run code of its own"
    given = None if example is None else subject.decoder.rows(JSON, example)
    loose = sample_rows(subject.layout, [] if given is None else subject.frames.loose(given.values))
    if loose is None:
        return None, "there are no values to try it with"
    singles = [subject.layout.pack([row]) for row in loose]
    usual = [*([] if given is None else [[given.values]]), singles]
    odd = [[subject.layout.pack([row])] for row in _not_finite(subject.layout, loose[0])]
    expected = [_outcome(subject.predict, subject.frames.frame(case)) for case in usual]
    for told in expected:
        if isinstance(told.value, Exception):
            return None, f"it does not predict the values tried: {told.value}"[:500]
    way: Optional[native.Way] = first
    while way is not None:
        if way.library is None and len(expected) == len(usual):
            # A way that leaves these to the library need not be tried with them.
            expected += [_outcome(subject.predict, subject.frames.frame(case)) for case in odd]
        cases = usual if way.library is not None else usual + odd
        build, predict = _asked(subject, way)
        usable = way.wants_frame or not subject.layout.is_text
        if usable and all(_agree(_outcome(predict, build(case)), told) for case, told in zip(cases, expected)):
            return _joined(subject, predict, build, singles)
        way = next(ways, None)
    return None, "the library's own predict gives other answers than MLflow's"


def _asked(subject: Subject, way: native.Way) -> Tuple[Callable[[Sequence[Any]], Any], Callable[[Any], Any]]:
    """(`FastPath.build`, `FastPath.predict`) of a way."""
    array, frame = subject.frames.array, subject.frames.frame
    if way.library is None:
        return (frame if way.wants_frame else array), way.predict
    quick, library = way.predict, way.library

    def predict(values: Sequence[Any]) -> Any:
        found = quick(array(values))
        return library(frame(values)) if found is None else found

    return (lambda values: values), predict


def _not_finite(layout: Layout, row: Sequence[Any]) -> List[List[Any]]:
    """The row with a NaN, and with an infinity, where its first float is."""
    places = [number for number, code in enumerate(layout.codes) if code in "df"][:1]
    return [[*row[:place], value, *row[place + 1 :]] for place in places for value in (float("nan"), float("inf"))]


class _Outcome(NamedTuple):
    value: Any
    warned: frozenset[str]


def _outcome(predict: Callable[[Any], Any], given: Any) -> _Outcome:
    """What came of it: an answer or an exception."""
    with warnings.catch_warnings(record=True) as told:
        try:
            value = predict(given)
        except Exception as error:
            value = error
    return _Outcome(value, frozenset(str(each.message) for each in told or ()))


def _agree(ours: _Outcome, theirs: _Outcome) -> bool:
    """The same to the last bit. An exception need only be one: then MLflow's own functions answer."""
    if isinstance(theirs.value, Exception) or isinstance(ours.value, Exception):
        return isinstance(ours.value, Exception) and isinstance(theirs.value, Exception)
    if type(ours.value) is not type(theirs.value) or not ours.warned <= theirs.warned:
        return False
    if hasattr(ours.value, "dtype") and (ours.value.dtype, ours.value.shape) != (
        theirs.value.dtype,
        theirs.value.shape,
    ):
        return False
    return repr(_plain(ours.value)) == repr(_plain(theirs.value))


def _plain(value: Any) -> Any:
    for method in ("tolist", "to_dict"):
        if hasattr(value, method):
            return getattr(value, method)()
    return value


def _joined(
    subject: Subject, predict: Callable[[Any], Any], build: Callable[[Sequence[Any]], Any], singles: Sequence[Any]
) -> Tuple[Optional[FastPath], str]:
    """With the best way to take several requests at once."""
    subject.decoder.needs_index = False
    if _wish(BATCHING) == "off":
        return FastPath(
            subject.decoder, build, predict, subject.rows_of, False, False, True
        ), "batching is switched off"
    together = FastPath(subject.decoder, build, predict, subject.rows_of, True, True, True)
    one_by_one = together._replace(is_joint=False)
    alone: List[Any] = []
    each_s = float("inf")  # the quickest: what a busy machine adds says nothing of the model
    for single in singles:
        began = time.perf_counter()
        alone += one_by_one.predictions([single])
        each_s = min(each_s, time.perf_counter() - began)
        if each_s * len(alone) > _JOINED_CHECK_S and len(alone) > 3:
            break
    some = list(singles[: len(alone)])
    third = len(alone) // 3
    try:
        joined = [
            together.predictions(some),
            together.predictions(some[: third + 1]),
            together.predictions(some * _REPEATED),
        ]
        expected = [alone, alone[: third + 1], alone * _REPEATED]
        if repr(joined) == repr(expected):
            return together, ""
        why = "predictions of joined rows differ from those of each"
        if _wish(BATCHING) == "on" and close(joined, expected):
            return together._replace(is_ordered=False), f"{why}, in the last digits"
    except Exception as error:
        why = f"rows cannot be joined: {type(error).__name__}: {error}"
    return one_by_one._replace(joins=each_s < _CHEAP_S), why
