"""Values that a fast path is tried with before it is used. Used by `proving`; the same every time."""

from __future__ import annotations

import json
from typing import Any, Iterator, List, Optional, Sequence

from headgate_worker.compiled import Layout

_ROWS = 12
_TRIED = {
    "d": [0.5, 2, -1.25e-3],
    "f": [0.1, 3, 1e30],
    "q": [1, -(2**60), 0],
    "i": [7, -3, 0],
    "?": [True, False, True],
    "s": ["a", "", "ä€"],
}
"""For each kind of column, values in the ways a client may write them."""


def bodies(layout: Layout) -> Iterator[bytes]:
    """A body in each format."""
    columns = {name: _TRIED[code] for name, code in zip(layout.names, layout.codes)}
    rows = list(zip(*columns.values()))
    if layout.is_matrix:
        yield from (json.dumps({name: rows}).encode() for name in ("inputs", "instances"))
        return
    records = [dict(zip(columns, row)) for row in rows]
    yield json.dumps({"dataframe_split": {"columns": list(columns), "data": rows}}).encode()
    for name, value in (("dataframe_records", records), ("inputs", columns), ("instances", records)):
        yield json.dumps({name: value}).encode()


def sample_rows(layout: Layout, example: Sequence[Sequence[Any]]) -> Optional[List[List[Any]]]:
    """Rows of loose values near those of the model's own example (its rows); None when there is text and no example of it."""
    import numpy

    if layout.is_text and not example:
        return None
    random = numpy.random.RandomState(20)
    columns: List[List[Any]] = []
    for number, code in enumerate(layout.codes):
        known = [row[number] for row in example]
        if code in "df":
            near = known[0] if known and numpy.isfinite(known[0]) else 0.0
            spread = numpy.array([0.1, 1.0, 10.0, max(1.0, abs(near))])[numpy.arange(_ROWS) % 4]
            columns.append((near + spread * random.standard_normal(_ROWS)).tolist())
        elif code in "qi":
            near = known[0] if known and abs(known[0]) < 2**30 else 0
            columns.append([near + step for step in random.randint(0, 4, _ROWS).tolist()])
        elif code == "?":
            columns.append((random.rand(_ROWS) < 0.5).tolist())
        else:
            columns.append([known[place] for place in random.randint(0, len(known), _ROWS)])
    return [list(row) for row in zip(*columns)]
