"""Small parts of the guest: content types, environment variables, explanations, specification, encoding of what JSON lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from headgate_worker import encoding, loading, surroundings
from headgate_worker.decoding import media_type, shortened
from headgate_worker.specification import WorkerSpec

NEEDED = {"replica": "r", "socket_path": "s", "status_path": "t", "log_path": "l", "model_path": "m"}


@pytest.mark.parametrize(
    ("content_type", "media"),
    [
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ('Application/JSON;charset="UTF-8"', "application/json"),
        ("text/csv;", "text/csv"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("application/json; charset=latin-1", ""),
        ("application/json; version=1", ""),
        ("text/plain", ""),
        ("", ""),
    ],
)
def test_a_content_type_is_known_or_its_refusal_says_why(content_type: str, media: str) -> None:
    found, refusal = media_type(content_type)
    assert found == media
    assert bool(refusal) != bool(media)


def test_a_long_value_is_cut_in_a_message() -> None:
    assert shortened("x" * 100_000).endswith("(100000 characters)")
    assert len(shortened("x" * 100_000)) < 9000


def test_only_facts_about_the_machine_and_the_endpoints_own_variables_are_seen() -> None:
    environ = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "HEADGATE_TOKEN": "x",
        "DATABRICKS_TOKEN": "x",
        "PYTHONPATH": "x",
        "HOME": "/h",
    }
    clean = surroundings.clean_environ(environ, {"MINE": "1", "HOME": "/other"})
    assert {"PATH": "/bin", "LC_ALL": "C", "MINE": "1", "HOME": "/other"}.items() <= clean.items()
    assert "x" not in clean.values()


def test_a_specification_needs_paths_and_ignores_what_it_does_not_know() -> None:
    spec = WorkerSpec.from_json({**NEEDED, "slots": 0, "lifeline_fd": None, "of a later version": 1})
    assert (spec.slots, spec.lifeline_fd, spec.execution_limit_s) == (1, None, 597.0)
    with pytest.raises(KeyError, match="model_path"):
        WorkerSpec.from_json({**NEEDED, "model_path": ""})


def test_a_missing_module_is_named_with_what_to_do() -> None:
    try:
        try:
            import absent_module_of_a_model  # noqa: F401
        except ImportError as inner:
            raise RuntimeError("wrapped") from inner
    except RuntimeError as error:
        said = loading.explain(error, "model m could not be loaded")
    first, *rest = said.splitlines()
    assert first.startswith(
        "model m could not be loaded: Python module 'absent_module_of_a_model' is not in its environment."
    )
    assert "pip requirements" in first
    assert any(__file__ in line for line in rest)


def test_an_explanation_has_the_error_its_root_cause_and_where_in_the_users_code() -> None:
    try:
        try:
            json.loads("{")
        except ValueError as inner:
            raise RuntimeError("the configuration is broken") from inner
    except RuntimeError as error:
        said = loading.explain(error, "model m could not be loaded")
    assert said.startswith(
        "model m could not be loaded: RuntimeError: the configuration is broken\ncaused by JSONDecodeError: "
    )
    assert __file__ in said
    assert "json/decoder.py" not in said


def test_what_json_cannot_hold_becomes_null() -> None:
    value = {"a": [float("nan"), 1.5, (float("inf"),)], "b": {"c": -float("inf")}, "d": "NaN"}
    assert encoding._finite(value, lambda each: each) == {"a": [None, 1.5, [None]], "b": {"c": None}, "d": "NaN"}


def test_modules_of_the_environment_can_be_imported_by_their_names() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(loading.__file__).parent.parent)!r})\n"
        "import json, pytest\n"
        "from headgate_worker.loading import environment_modules\n"
        "print(json.dumps(environment_modules()))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=60, check=True)
    modules = json.loads(done.stdout)
    assert {"pytest", "pluggy"} <= set(modules)
    assert not {"json", "headgate_worker", "__main__"} & set(modules)
