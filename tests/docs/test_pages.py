"""Links lead somewhere, and what the pages show of code is code that works."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from tools.reference import command_line

from headgate import settings
from headgate.cli import bodies

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    found = [(page.relative_to(ROOT), FENCE.findall(page.read_text())) for page in PAGES]
    return [(str(name), text) for name, all_of_page in found for kind, text in all_of_page if kind == language]


def commands() -> list[tuple[str, str]]:
    """Every line of a shell block that calls headgate, lines ending in a backslash joined."""
    joined = [(name, text.replace("\\\n", " ")) for name, text in blocks("bash")]
    return [(name, line) for name, text in joined for line in text.splitlines() if line.startswith("headgate ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_the_index_leads_to_every_page() -> None:
    docs = ROOT / "docs"
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md") if page.parent.name != "decisions"}
    assert pages - set(re.findall(r"\]\(([^)#]+)\)", (docs / "index.md").read_text())) == {"index.md"}


@pytest.mark.parametrize(("page", "line"), commands())
def test_shown_commands_exist_with_their_options(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    length = next(n for n in (4, 3, 2) if " ".join(words[:n]) in command_line.commands())
    command = command_line.commands()[" ".join(words[:length])]
    known = [*command_line.options(command), *command_line.COMMON, "-o", "-p"]
    assert [word for word in words[length:] if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known] == []
    for option, value in itertools.pairwise(words):
        if option == "--json" and not value.startswith("@"):
            assert bodies.read(value)


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_shown_python_compiles(page: str, text: str) -> None:
    ast.parse(text)


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_shown_settings_files_can_be_read(page: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "headgate.toml").write_text(text)
    settings.load(environ={}, file=tmp_path / "headgate.toml")


@pytest.mark.parametrize(
    "verb", ["setup", "quickstart", "serve", "check", "fix", "test", "test-all", "bench", "docs", "clean"]
)
def test_every_verb_of_the_workshop_is_there(verb: str) -> None:
    planned = subprocess.run(["make", "-n", verb], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert planned.returncode == 0, planned.stderr


def test_make_verbs_named_in_pages_exist() -> None:
    named = {verb for page in PAGES for verb in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)}
    text = (ROOT / "Makefile").read_text()
    assert [verb for verb in sorted(named) if not re.search(rf"^{verb}:", text, re.MULTILINE)] == []
