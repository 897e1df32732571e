"""Packed values (`compiled.Layout`) → what a model is given: an array, or the frame that MLflow's schema enforcement would have made.

Used by `scoring` and `proving`. numpy and pandas are imported when a `FrameBuilder` is made, never with this module.
"""

from __future__ import annotations

from typing import Any, Sequence

from headgate_worker.compiled import NUMPY_TYPES, Layout


class FrameBuilder:
    """Builds for one layout."""

    def __init__(self, layout: Layout) -> None:
        import numpy
        import pandas

        self._layout = layout
        self._numpy, self._pandas = numpy, pandas
        self._types = [None if code == "s" else numpy.dtype(NUMPY_TYPES[code]) for code in layout.codes]
        # As pandas itself names the columns when it is given a dictionary; its text type depends on the version.
        self._columns = pandas.DataFrame({name: [0] for name in layout.names}).columns

    def array(self, values: Sequence[Any]) -> Any:
        """(rows, columns) of a uniform layout, writable, joined from the values of one request or several. Columns lie one after
        the other, as in a frame, so that libraries compute in the same order."""
        packed = bytearray().join(values)
        rows = self._numpy.frombuffer(packed, self._types[0]).reshape(-1, self._layout.width)
        return rows if len(rows) == 1 else self._numpy.asfortranarray(rows)

    def frame(self, values: Sequence[Any]) -> Any:
        """The frame of one request or of several joined."""
        if self._layout.code:
            # The index is copied: a model may give its own frame's columns a name.
            return self._pandas.DataFrame(self.array(values), columns=self._columns.copy(), copy=False)
        return self._pandas.DataFrame(
            {name: self._column(number, values) for number, name in enumerate(self._layout.names)}
        )

    def _column(self, number: int, values: Sequence[Any]) -> Any:
        parts = [columns[number] for columns in values]
        kind = self._types[number]
        if kind is None:
            return [text for part in parts for text in part]
        return self._numpy.frombuffer(bytearray().join(parts), kind)
