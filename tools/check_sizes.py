"""Holds the code to its sizes and names. Run by `make check`.

Files of at most 450 lines; functions of at most 60 lines and four parameters; no drawer names; a docstring opens each module.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE_LINES, FUNCTION_LINES, PARAMETERS = 450, 60, 4
DRAWERS = {
    "utils",
    "helpers",
    "common",
    "misc",
    "manager",
    "handler",
    "service",
    "core",
    "base",
    "impl",
    "data",
    "info",
}
CODE = ("src", "tools", "examples", "bench")  # tests answer for the length of their files only
CALLED_BY_FRAMEWORK = {"register", "command", "callback", "get", "post", "put", "patch", "delete", "api_route"}


def main() -> int:
    """Prints what is too big or badly named; exit code 1 when there is anything."""
    found = [problem for path in sorted(_python_files()) for problem in _problems(path)]
    print("\n".join(found) or "sizes and names: fine")
    return 1 if found else 0


def _python_files() -> Iterator[Path]:
    for folder in (*CODE, "tests"):
        yield from (ROOT / folder).rglob("*.py")


def _problems(path: Path) -> Iterator[str]:
    name = path.relative_to(ROOT)
    text = path.read_text()
    lines = text.count("\n")
    if "migrations" in name.parts:
        return
    if lines > FILE_LINES:
        yield f"{name}: {lines} lines, at most {FILE_LINES}"
    if name.parts[0] not in CODE:
        return
    tree = ast.parse(text)
    if not ast.get_docstring(tree) and text.strip():
        yield f"{name}: no docstring says what the module is for"
    for part in (*name.parts[1:-1], path.stem):
        if part.rsplit("_", 1)[-1].lower() in DRAWERS:
            yield f"{name}: {part} is a name for a drawer"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _function_problems(node, f"{name}:{node.lineno} {node.name}")
        elif isinstance(node, ast.ClassDef) and _last_word(node.name) in DRAWERS:
            yield f"{name}:{node.lineno} {node.name} is a name for a drawer"


def _function_problems(node: ast.FunctionDef | ast.AsyncFunctionDef, where: str) -> Iterator[str]:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if lines > FUNCTION_LINES:
        yield f"{where}: {lines} lines, at most {FUNCTION_LINES}"
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    count = sum(1 for argument in arguments if argument.arg not in ("self", "cls"))
    if count > PARAMETERS and not _called_by_framework(node):
        yield f"{where}: {count} parameters, at most {PARAMETERS}; make them a frozen dataclass"


def _called_by_framework(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Commands and routes: each parameter is an option or a part of the request, and nobody calls them in code."""
    names = {item.attr if isinstance(item, ast.Attribute) else getattr(item, "id", "") for item in _decorators(node)}
    return bool(names & CALLED_BY_FRAMEWORK)


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    for item in node.decorator_list:
        yield item.func if isinstance(item, ast.Call) else item


def _last_word(name: str) -> str:
    return str(re.findall(r"[A-Z][a-z0-9]*|[a-z0-9]+", name)[-1]).lower()


if __name__ == "__main__":
    sys.exit(main())
