"""Writes docs/reference/*.md from the code (`make docs`), or tells which are not as they would be written (`--check`)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tools.reference import access, command_line, error_codes, metric_names, routes, sdk_coverage, settings_tree

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_tree.page,
    "cli.md": command_line.page,
    "routes.md": routes.page,
    "metrics.md": metric_names.page,
    "access.md": access.page,
    "errors.md": error_codes.page,
    "sdk-coverage.md": sdk_coverage.page,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a page is stale")
    if parser.parse_args().check:
        found = stale()
        print(f"stale, run `make docs`: {', '.join(found)}" if found else "reference pages: fresh")
        return 1 if found else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
    return 0


def stale() -> list[str]:
    """Names of the pages that differ from what would be written."""
    return [name for name, page in PAGES.items() if not _is_fresh(name, page())]


def _is_fresh(name: str, generated: str) -> bool:
    path = FOLDER / name
    written = path.read_text() if path.exists() else ""
    if name == "sdk-coverage.md":  # a newer SDK may know methods this page does not; what it says must still be true
        return sdk_coverage.agrees(written, generated)
    return written == generated


if __name__ == "__main__":
    sys.exit(main())
