"""What a model folder says about its environment and itself."""

from __future__ import annotations

import json

import pytest

from headgate.domain import model_files
from headgate.errors import InvalidParameterValue

MLMODEL = """
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    python_version: 3.11.7
  sklearn: {sklearn_version: 1.5.0}
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}]'
  outputs: null
"""


def describe(files: dict[str, str], path: str = "/models/churn/1"):
    return model_files.describe("main.default.churn", "1", path, files.get)


def test_python_env_with_an_included_requirements_file():
    found = describe(
        {
            "MLmodel": MLMODEL,
            "python_env.yaml": "python: 3.10\nbuild_dependencies: [pip==23.0, setuptools==65.5, wheel]\n"
            "dependencies: ['-r requirements.txt']\n",
            "requirements.txt": "# made by mlflow\nmlflow==3.1  # tracking\n\nscikit-learn==1.5.0 ; \\\n  python_version>'3'\n"
            "-c constraints.txt\n--extra-index-url https://example.org/simple\n",
            "constraints.txt": "numpy<2\n",
        }
    ).environment
    assert found.python_version == "3.10"
    assert found.requirements == (
        "setuptools==65.5",
        "mlflow==3.1",
        "scikit-learn==1.5.0 ; python_version>'3'",
        "numpy<2",
        "--extra-index-url https://example.org/simple",
    )
    assert found.model_path == ""


def test_conda_gives_python_and_its_pip_part():
    conda = "dependencies:\n- python=3.9.18\n- gcc\n- pip<=23\n- pip:\n  - mlflow>=2\n  - lightgbm==4.0\n"
    found = describe({"MLmodel": MLMODEL, "conda.yaml": conda}).environment
    assert (found.python_version, found.requirements) == ("3.9.18", ("mlflow>=2", "lightgbm==4.0"))


def test_requirements_alone_take_the_python_that_logged_the_model():
    found = describe({"MLmodel": MLMODEL, "requirements.txt": "pandas"}).environment
    assert (found.python_version, found.requirements) == ("3.11.7", ("pandas", "mlflow"))


@pytest.mark.parametrize(
    ("given", "added"),
    [(("mlflow-skinny==2.22.0",), "mlflow==2.22.0"), (("mlflow-skinny[databricks]",), "mlflow"), ((), "mlflow")],
)
def test_mlflow_is_added_when_it_is_missing(given, added):
    assert model_files.with_mlflow(given) == (*given, added)


@pytest.mark.parametrize("line", ["mlflow", "MLflow[extras]>=2", "mlflow @ https://example.org/mlflow.whl"])
def test_mlflow_is_not_added_when_it_is_there(line):
    assert model_files.with_mlflow((line,)) == (line,)


def test_a_wheel_inside_the_model_makes_its_folder_part_of_the_environment():
    files = {
        "MLmodel": MLMODEL,
        "requirements.txt": "-r wheels/all.txt\nmlflow",
        "wheels/all.txt": "own-1.0-py3-none-any.whl",
    }
    found = describe(files).environment
    assert found.requirements == ("wheels/own-1.0-py3-none-any.whl", "mlflow")
    assert found.model_path == "/models/churn/1"


def test_wheels_elsewhere_do_not_name_the_model_folder():
    files = {"MLmodel": MLMODEL, "requirements.txt": "https://example.org/a-1-py3-none-any.whl\n/wheels/b.whl\nmlflow"}
    assert describe(files).environment.model_path == ""


def test_description_holds_signature_flavors_and_task():
    found = describe({"MLmodel": MLMODEL + "metadata: {task: llm/v1/chat}\n"})
    assert found.flavors == ("python_function", "sklearn")
    assert json.loads(found.signature) == {
        "inputs": '[{"type": "double", "name": "a", "required": true}]',
        "outputs": None,
    }
    assert (found.task, found.io_bound) == ("llm/v1/chat", True)


@pytest.mark.parametrize(
    ("flavors", "task", "expected"),
    [
        ({"python_function": {"loader_module": "mlflow.sklearn"}, "sklearn": {}}, "", False),
        ({"python_function": {"loader_module": "mlflow.pyfunc.model"}}, "", False),
        ({"python_function": {"loader_module": "mlflow.pyfunc.model", "streamable": True}}, "", True),
        ({"python_function": {"loader_module": "mlflow.pyfunc.loaders.responses_agent"}}, "", True),
        ({"python_function": {}, "langchain": {}}, "", True),
        ({"python_function": {}}, "agent/v2/responses", True),
        ({"python_function": {}, "transformers": {}}, "llm/v1/chat", False),
    ],
)
def test_models_that_wait_for_others_are_io_bound(flavors, task, expected):
    assert model_files.is_io_bound(flavors, task) is expected


def test_without_signature_it_is_empty():
    assert describe({"MLmodel": "flavors: {python_function: {loader_module: mlflow.sklearn}}"}).signature == ""


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no MLmodel"),
        ({"MLmodel": "flavors: {spark: {}}"}, "no python_function"),
        ({"MLmodel": "flavors: [unclosed"}, "not valid YAML"),
        ({"MLmodel": MLMODEL, "requirements.txt": "-r gone.txt"}, "gone.txt"),
        ({"MLmodel": MLMODEL, "requirements.txt": "-r requirements.txt"}, "circle"),
    ],
)
def test_a_folder_that_cannot_be_served_says_why(files, words):
    with pytest.raises(InvalidParameterValue, match=words):
        describe(files)


def test_modules_to_warm_come_from_the_flavors():
    assert model_files.loader_modules(MLMODEL) == ("mlflow.sklearn", "sklearn")
    assert model_files.loader_modules("[") == ()
