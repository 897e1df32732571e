"""docs/reference/settings.md: every field of the settings tree with the docstring under it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
from collections.abc import Iterator

from tools.reference.markdown import code, table
from tools.reference.markdown import page as make_page

from headgate import settings

INTRODUCTION = """A value comes from, in falling order: the command line, the environment, the settings file, the default.

The settings file is `headgate.toml` in the folder where `headgate serve` is started, or the one that `--config` or `HEADGATE_CONFIG`
names. Sections are TOML tables:

```toml
port = 8080

[scaling]
idle_s = 600
```

On the command line every setting can be given as `--set scaling.idle_s=600`; the most used ones have options of their own
([cli.md](cli.md))."""


def page() -> str:
    kinds = {"": settings.Settings, **_sections()}
    parts = []
    for section, kind in kinds.items():
        documented = docstrings(kind)
        title = f"## {section}\n\n{inspect.getdoc(kind)}" if section else "## General"
        rows = [
            (code(name), code(variable), default_of(kind, name), documented[name])
            for of, name, variable in settings.variables()
            if of == section
        ]
        parts.append(f"{title}\n\n{table(('Setting', 'Environment', 'Default', 'Meaning'), rows)}")
    return make_page("Settings", INTRODUCTION, *parts)


def docstrings(kind: type) -> dict[str, str]:
    """Field -> the string literal under it. Raises KeyError where a field has none."""
    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    found = dict(_documented(tree.body))
    return {field.name: found[field.name] for field in dataclasses.fields(kind) if not _is_section(field)}


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, after in itertools.pairwise(body):
        match statement, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, text


def default_of(kind: type, name: str) -> str:
    (field,) = (field for field in dataclasses.fields(kind) if field.name == name)
    return "" if field.default in (None, "") else code(str(field.default))


def _sections() -> dict[str, type]:
    return {field.name: type(getattr(settings.Settings(), field.name)) for field in _fields() if _is_section(field)}


def _fields() -> tuple[dataclasses.Field[object], ...]:
    return dataclasses.fields(settings.Settings)


def _is_section(field: dataclasses.Field[object]) -> bool:
    return dataclasses.is_dataclass(field.default_factory)
