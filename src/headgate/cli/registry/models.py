"""`headgate models …`: registered models over the registry's REST API; `register` lets MLflow do the work."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from headgate.cli import connection
from headgate.cli.client import UNITY_CATALOG, Client
from headgate.cli.printing import note, print_pairs, print_table
from headgate.cli.problems import CliError
from headgate.cli.session import Session, register

group = typer.Typer(no_args_is_help=True, help="List and register models, and set their aliases.")

Model = Annotated[str, typer.Argument(metavar="NAME", help="Three-level name, e.g. main.default.churn.")]
SomeModel = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="List this model's versions instead.", show_default=False)
]
Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Folder of an MLflow model, or runs:/… or models:/… as MLflow knows it.")
]


@register(group, "list")
def list_models(session: Session, model: SomeModel = None) -> None:
    """List registered models, or the versions of one."""
    client = session.client()
    if model is None:
        session.print(_search(client, "registered-models"), _print_models)
    else:
        session.print(_search(client, "model-versions", {"filter": f"name='{model}'"}), _print_versions)


@register(group, "set-alias")
def set_alias(
    session: Session,
    model: Model,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="E.g. Champion.")],
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1)],
) -> None:
    """Let an alias name a version of a model."""
    body = {"name": model, "alias": alias, "version": str(version)}
    session.client().send("POST", f"{UNITY_CATALOG}/registered-models/alias", body)
    note(f"{model}@{alias} is version {version}")


@register(group, "register")
def register_model(session: Session, source: Source, model: Model) -> None:
    """Register a model as a new version. Needs MLflow: pip install 'headgate\\[mlflow]'."""
    is_folder = not source.startswith(("runs:/", "models:/"))
    if is_folder:
        source = _model_folder(source)
    try:
        import mlflow
    except ImportError as error:
        raise CliError(f"this needs MLflow ({error}); pip install 'headgate[mlflow]'") from error
    target = connection.resolve(session.wanted)
    os.environ.update(DATABRICKS_HOST=target.host, DATABRICKS_TOKEN=target.token)  # MLflow asks nothing else
    os.environ.pop("DATABRICKS_CONFIG_PROFILE", None)
    mlflow.set_registry_uri("databricks-uc")
    if is_folder:
        mlflow.set_tracking_uri("databricks")  # never asked, but the default would make a database in this folder
    try:
        made = mlflow.register_model(source, model)
    except mlflow.exceptions.MlflowException as error:
        raise CliError(str(error)) from error
    session.print({"name": made.name, "version": str(made.version), "status": made.status}, _print_registered)


def _model_folder(source: str) -> str:
    folder = Path(source).expanduser().absolute()
    if not (folder / "MLmodel").is_file():
        raise CliError(f"{folder} is not the folder of an MLflow model: it has no file MLmodel")
    return str(folder)


def _search(client: Client, what: str, params: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """All pages of a search; `what` is `registered-models` or `model-versions`."""
    key, found, token = what.replace("-", "_"), [], ""
    while True:
        page = client.get(
            f"{UNITY_CATALOG}/{what}/search", {**(params or {}), **({"page_token": token} if token else {})}
        )
        found += page.get(key, [])
        token = page.get("next_page_token", "")
        if not token:
            return found


def _print_models(models: list[dict[str, Any]]) -> None:
    print_table(
        ("NAME", "ALIASES", "DESCRIPTION"),
        ((model["name"], _aliases(model), model.get("description") or "") for model in models),
    )


def _aliases(model: dict[str, Any]) -> str:
    return ", ".join(f"{item['alias']}={item['version']}" for item in model.get("aliases", []))


def _print_versions(versions: list[dict[str, Any]]) -> None:
    print_table(
        ("VERSION", "STATUS", "DESCRIPTION"),
        ((str(item["version"]), item.get("status") or "", item.get("description") or "") for item in versions),
    )


def _print_registered(made: dict[str, str]) -> None:
    print_pairs(made.items())
    sys.stdout.flush()
