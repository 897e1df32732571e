"""Packed values (`compiled.Layout`) → what a model is given: an array, or the frame that MLflow's schema enforcement would have made.

Used by `scoring` and `proving`. numpy and pandas are imported when a `FrameBuilder` is made, never with this module.
"""

from __future__ import annotations

from typing import Any, List, Sequence

from headgate_worker.compiled import NUMPY_TYPES, Layout


class FrameBuilder:
    """Builds for one layout."""

    def __init__(self, layout: Layout) -> None:
        import numpy
        import pandas

        self._layout = layout
        self._numpy, self._pandas = numpy, pandas
        types = [numpy.dtype(NUMPY_TYPES.get(code, "O")) for code in layout.codes]
        self._types = types
        self._row_type = (
            types[0] if layout.is_uniform else numpy.dtype([(f"f{n}", each) for n, each in enumerate(types)])
        )
        self._columns = pandas.Index(layout.names)

    def array(self, values: Sequence[Any]) -> Any:
        """(rows, columns) of a layout without text, writable, joined from the values of one request or several; of 64-bit floats
        where types differ. Columns lie one after the other, as in a frame, so that libraries compute in the same order; in a matrix,
        rows do."""
        rows = self._joined(values)
        if self._layout.is_uniform:
            rows = rows.reshape(-1, self._layout.width)
            return rows if len(rows) == 1 or self._layout.is_matrix else self._numpy.asfortranarray(rows)
        array = self._numpy.empty((len(rows), self._layout.width), order="F")
        for number in range(self._layout.width):
            array[:, number] = rows[f"f{number}"]
        return array

    def frame(self, values: Sequence[Any]) -> Any:
        """The frame of one request or of several joined; the array, if that is what the model is given."""
        if self._layout.is_matrix:
            return self.array(values)
        if self._layout.is_uniform:
            # The index is copied: a model may give its own frame's columns a name.
            return self._pandas.DataFrame(self.array(values), columns=self._columns.copy(), copy=False)
        if self._layout.is_text:
            columns = [self._column(number, values) for number in range(self._layout.width)]
        else:
            rows = self._joined(values)
            columns = [rows[f"f{number}"] for number in range(self._layout.width)]
        return self._pandas.DataFrame(dict(zip(self._layout.names, columns)))

    def loose(self, values: Any) -> List[Sequence[Any]]:
        """The rows of one request as Python values again."""
        if self._layout.is_text:
            return list(zip(*(self._column(number, [values]) for number in range(self._layout.width))))
        rows = self._joined([values])
        return list((rows.reshape(-1, self._layout.width) if self._layout.is_uniform else rows).tolist())

    def _joined(self, values: Sequence[Any]) -> Any:
        return self._numpy.frombuffer(bytearray().join(values), self._row_type)

    def _column(self, number: int, values: Sequence[Any]) -> Any:
        parts = [columns[number] for columns in values]
        if self._layout.codes[number] == "s":
            return [text for part in parts for text in part]
        return self._numpy.frombuffer(bytearray().join(parts), self._types[number])
