from __future__ import annotations

from pathlib import Path

import pytest
from tools import check_sizes

FINE = '"""What it is for."""\n\n\ndef small(one: int, two: int, three: int, four: int) -> None:\n    pass\n'


@pytest.fixture(autouse=True)
def a_tree_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_sizes, "ROOT", tmp_path)


def problems(tmp_path: Path, name: str, text: str) -> list[str]:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return list(check_sizes._problems(path))


def test_a_small_file_is_fine(tmp_path: Path) -> None:
    assert problems(tmp_path, "src/headgate/traffic.py", FINE) == []


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("src/headgate/long.py", FINE + "\n" * 450, "455 lines, at most 450"),
        ("tests/unit/test_long.py", "\n" * 451, "451 lines, at most 450"),
        ("src/headgate/traffic_utils.py", FINE, "a name for a drawer"),
        ("src/headgate/base/traffic.py", FINE, "a name for a drawer"),
        ("src/headgate/traffic.py", FINE + "class TrafficManager:\n    pass\n", "a name for a drawer"),
        ("src/headgate/traffic.py", "x = 1\n", "no docstring"),
        ("src/headgate/traffic.py", FINE + "def long() -> None:\n" + "    pass\n" * 60, "61 lines, at most 60"),
        ("src/headgate/traffic.py", FINE + "def wide(a, b, c, *, d, e): ...\n", "5 parameters, at most 4"),
    ],
)
def test_what_is_too_big_or_badly_named_is_found(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    (found,) = problems(tmp_path, name, text)
    assert complaint in found


def test_self_is_no_parameter_and_commands_may_have_many(tmp_path: Path) -> None:
    method = "class Choice:\n    def pick(self, a, b, c, d): ...\n"
    command = '@register(group, "x")\ndef command(a, b, c, d, e): ...\n'
    assert problems(tmp_path, "src/headgate/traffic.py", FINE + method + command) == []


def test_tests_answer_only_for_their_length(tmp_path: Path) -> None:
    assert problems(tmp_path, "tests/unit/test_x.py", "def test(a, b, c, d, e): ...\n") == []
