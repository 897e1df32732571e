"""The model's signature as a decoder: a usual JSON body becomes packed values, in a few microseconds instead of MLflow's 500.

Used by `scoring`. Decodes only what it can prove to mean the same to MLflow's parser and schema enforcement; everything else,
every error included, is None here and MLflow's own functions judge it. Knows no model.
"""

from __future__ import annotations

import struct
from itertools import chain, starmap
from operator import itemgetter
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from headgate_worker.decoding import JSON, media_type, parser
from headgate_worker.rows import Rows

_CODES = {"double": "d", "float": "f", "long": "q", "integer": "i", "boolean": "?", "string": "s"}
"""MLflow's column types that are compiled → `struct`'s codes. Struct refuses what is no such number: text, null, lists, floats for
integers, integers too wide. Booleans for numbers it takes, as MLflow does."""
NUMPY_TYPES = {"d": "float64", "f": "float32", "q": "int64", "i": "int32", "?": "bool"}
_EXACT = 2**53
"""Beyond it, numbers reach a 32-bit float by ways that round differently."""
_MANY = 32
"""Rows from which columns are better packed one by one."""
_FORMATS = frozenset({"dataframe_split", "dataframe_records", "inputs", "instances"})
_UNUSUAL = frozenset({"messages", "prompt", "input"})
_NULL = type(None)
_NUMBERS = frozenset({float, int, bool, _NULL})
_FAILURES = (struct.error, KeyError, TypeError, ValueError, OverflowError, IndexError, RecursionError, AttributeError)
_NAN = float("nan")


class Column(NamedTuple):
    """One column of a signature."""

    name: str
    code: str


class Layout:
    """Columns in the signature's order, and how their values are packed: row after row, or column by column where there is text."""

    def __init__(self, columns: Sequence[Column], is_matrix: bool = False) -> None:
        self.is_matrix = is_matrix
        """Whether the model is given a matrix; its columns have no names then."""
        self.names: List[str] = [column.name for column in columns]
        self.codes: str = "".join(column.code for column in columns)
        self.width = len(columns)
        self.is_text = "s" in self.codes
        self.is_uniform = len(set(self.codes)) == 1 and not self.is_text
        """Whether all columns are numbers of one type."""
        self.infers = all(code in "dq" for code in self.codes)
        """Whether pandas infers these very types from loose values."""
        form = f"{self.width}{self.codes[0]}" if self.is_uniform else self.codes
        self._row = None if self.is_text else struct.Struct("=" + form)
        self._checked = [(number, code) for number, code in enumerate(self.codes) if code in "?f"]
        self.pack_row: Optional[Callable[..., bytes]] = (
            self._row.pack if self._row is not None and not self._checked else None
        )
        """Packs one row whose values struct checks sufficiently; None when there is more to check."""

    def pack(self, rows: Sequence[Sequence[Any]]) -> Any:
        """Rows of `width` values each → bytes; with text, one packed column each: bytes, or a list of str. Raises one of
        `_FAILURES`."""
        if self._row is None:
            if set(map(len, rows)) != {self.width}:
                raise ValueError("rows of unequal length")
            return tuple(map(_packed, self.codes, zip(*rows)))
        if self._checked:
            self._check(rows)
        pack = self._row.pack
        try:
            return pack(*rows[0]) if len(rows) == 1 else b"".join(starmap(pack, rows))
        except struct.error:
            return b"".join(starmap(pack, self._without_nulls(rows)))

    def pack_columns(self, columns: Sequence[Sequence[Any]], count: int) -> Any:
        """Columns of `count` values each → the same."""
        if not self.is_uniform or count < _MANY:
            return self.pack(list(zip(*columns)))
        import numpy

        packed = b"".join([_packed(self.codes[0], column) for column in columns])
        return numpy.frombuffer(packed, NUMPY_TYPES[self.codes[0]]).reshape(self.width, count).T.tobytes()

    def _check(self, rows: Sequence[Sequence[Any]]) -> None:
        """What struct would take and MLflow would not, or otherwise."""
        if self.is_uniform:
            _check_values(self.codes[0], list(chain.from_iterable(rows)))
        else:
            for number, code in self._checked:
                _check_values(code, [row[number] for row in rows])

    def _without_nulls(self, rows: Sequence[Sequence[Any]]) -> List[List[Any]]:
        """With NaN for null in columns of floats."""
        if set(map(len, rows)) != {self.width} or not set(map(type, chain.from_iterable(rows))) <= _NUMBERS:
            raise ValueError("not numbers, or rows of unequal length")
        if self.is_uniform and self.codes[0] in "df":
            return [[_NAN if value is None else value for value in row] for row in rows]
        return [
            [_NAN if value is None and code in "df" else value for value, code in zip(row, self.codes)] for row in rows
        ]


def _packed(code: str, values: Sequence[Any]) -> Any:
    if code == "s":
        return _texts(values)
    _check_values(code, values)
    form = f"={len(values)}{code}"
    try:
        return struct.pack(form, *values)
    except struct.error:
        if code not in "df" or not set(map(type, values)) <= _NUMBERS:
            raise
        return struct.pack(form, *[_NAN if value is None else value for value in values])


def _texts(values: Sequence[Any]) -> List[str]:
    if set(map(type, values)) != {str}:
        raise ValueError("not text only")
    joined = "".join(values)
    joined.encode()  # refuses halves of surrogate pairs, which some string types of pandas cannot hold
    if "\0" in joined:
        raise ValueError("numpy drops zeros at the end")
    return list(values)


def _check_values(code: str, values: Sequence[Any]) -> None:
    """Booleans are only booleans; whole numbers for 32-bit floats are exact on every way there."""
    if code == "?" and set(map(type, values)) != {bool}:
        raise ValueError("not booleans only")
    if code != "f" or int not in set(map(type, values)):
        return
    if not all(-_EXACT <= each <= _EXACT for each in values if type(each) is int):
        raise ValueError("not exact")


class RowsDecoder:
    """Decodes bodies for one signature."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.needs_index = True
        """Whether the model can see the index of a split frame; then bodies that name one are not decoded here."""
        names = layout.names
        self._names, self._width = names, layout.width
        get = itemgetter(*names)
        self._pick: Callable[[Any], Sequence[Any]] = get if len(names) > 1 else (lambda record: (record[names[0]],))
        self._parse = parser(exact=False)
        self._by_format: Dict[str, Callable[[Any], Tuple[int, Any]]] = {
            "dataframe_split": lambda value: self._packed(self._split(value)),
            "dataframe_records": self._packed_records,
            "inputs": self._inputs,
            "instances": self._instances,
        }
        if layout.is_matrix:
            self._by_format = {"inputs": self._matrix, "instances": self._matrix}

    def rows(self, content_type: str, body: bytes) -> Optional[Rows]:
        """None: unusual or wrong."""
        if content_type != JSON and media_type(content_type)[0] != JSON:
            return None
        try:
            value = self._parse(body)
            name = _format_of(value)
            count, values = self._by_format[name](value[name])
            return Rows(count, 0, values, body, content_type)
        except _FAILURES:
            return None

    def _packed(self, rows: Sequence[Sequence[Any]]) -> Tuple[int, Any]:
        return len(rows), self.layout.pack(rows)

    def _split(self, value: Any) -> Sequence[Sequence[Any]]:
        columns, rows = value["columns"], value["data"]
        if len(value) != 2:
            self._check_index(value, len(rows))
        _check_kind(rows, list)
        if columns == self._names:
            return rows  # type: ignore[no-any-return]
        place = {name: number for number, name in enumerate(columns)}
        if not len(columns) == len(place) == self._width or set(map(len, rows)) != {self._width}:
            raise ValueError("other columns")
        order = [place[name] for name in self._names]
        return list(map(itemgetter(*order), rows)) if self._width > 1 else rows

    def _check_index(self, value: Any, count: int) -> None:
        index = value["index"]
        if self.needs_index or len(value) != 3 or len(index) != count or set(map(type, index)) != {int}:
            raise ValueError("an index")

    def _records(self, value: Any) -> Sequence[Sequence[Any]]:
        _check_kind(value, dict)
        if set(map(len, value)) != {self._width}:
            raise ValueError("other columns")
        return list(map(self._pick, value))

    def _packed_records(self, value: Any) -> Tuple[int, Any]:
        if type(value) is list and len(value) >= _MANY and self.layout.pack_row is not None:
            try:  # without keeping a second copy of all values
                if set(map(type, value)) == {dict} and set(map(len, value)) == {self._width}:
                    return len(value), b"".join(starmap(self.layout.pack_row, map(self._pick, value)))
            except struct.error:
                pass
        return self._packed(self._records(value))

    def _matrix(self, value: Any) -> Tuple[int, Any]:
        _check_kind(value, list)
        return self._packed(value)

    def _inputs(self, value: Any) -> Tuple[int, Any]:
        if type(value) is list and value and type(value[0]) is dict:
            if not self.layout.infers:
                raise ValueError("types that pandas does not infer")
            return self._packed(self._records(value))
        return self._columns(value)

    def _instances(self, value: Any) -> Tuple[int, Any]:
        if type(value) is list and value and type(value[0]) is dict:
            return self._packed(self._records(value))
        return self._columns(value)

    def _columns(self, value: Any) -> Tuple[int, Any]:
        """Columns by name, each a list or all single values; for one column also the bare list."""
        if type(value) is list and self._width == 1:
            columns: Sequence[Any] = (value,)
        elif type(value) is dict and len(value) == self._width:
            columns = self._pick(value)
        else:
            raise ValueError("other columns")
        kinds = set(map(type, columns))
        if kinds == {list}:
            count = len(columns[0])
            if not count or set(map(len, columns)) != {count}:
                raise ValueError("columns of unequal length, or empty")
            return count, self.layout.pack_columns(columns, count)
        if not self.layout.infers or list in kinds:
            raise ValueError("single values beside lists")
        return self._packed((columns,))


def _format_of(body: Any) -> str:
    """The one key that holds rows. Other keys are for the platform, or make the body unusual."""
    if len(body) == 1:
        (name,) = body
        return str(name)
    found = [key for key in body if key in _FORMATS]
    if len(found) != 1 or body.get("params") is not None or body.get("stream") is True or not _UNUSUAL.isdisjoint(body):
        raise ValueError("unusual")
    return str(found[0])


def _check_kind(values: Any, kind: type) -> None:
    if type(values) is not list or set(map(type, values)) != {kind}:
        raise ValueError("other kinds of rows, or none")


def layout_of(metadata: Any) -> Optional[Layout]:
    """The layout of a model's signature (`mlflow.models.Model`); None when it has none that is compiled: named columns of numbers,
    booleans and text, or one unnamed matrix."""
    schema = metadata.get_input_schema()
    if schema is None or not schema.inputs:
        return None
    for told in ("_is_signature_from_type_hint", "_is_type_hint_from_example"):
        if getattr(metadata, told, bool)():
            return None
    if schema.is_tensor_spec():
        return _matrix_layout(schema)
    columns = [Column(str(each.name), _CODES.get(getattr(each.type, "name", ""), "")) for each in schema.inputs]
    names = {column.name for column in columns}
    if (
        not schema.has_input_names()
        or len(names) != len(columns)
        or not all(each.code and each.name for each in columns)
    ):
        return None  # MLflow names a column "" by its number
    return Layout(columns)


def _matrix_layout(schema: Any) -> Optional[Layout]:
    spec = schema.inputs[0]
    codes = [code for code, kind in NUMPY_TYPES.items() if kind == str(spec.type)]
    if schema.has_input_names() or len(schema.inputs) != 1 or not codes:
        return None
    if len(spec.shape) != 2 or spec.shape[0] != -1 or spec.shape[1] < 1:
        return None
    return Layout([Column(str(number), codes[0]) for number in range(spec.shape[1])], is_matrix=True)
