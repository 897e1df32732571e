"""Builds one environment with uv: venv, packages, lock, bytecode; proves that it works. Called by `environments`, which makes it atomic.

Everything it runs sees only `commands.build_environ`, and writes what it prints into the build log.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from uv import find_uv_bin

from headgate.clock import within
from headgate.domain import model_files
from headgate.domain.environment import EnvironmentSpec
from headgate.replicas.building import commands, failure, interpreters, pip_configuration, warming
from headgate.replicas.building.build_log import BuildLog
from headgate.replicas.building.bytecode import BytecodeStore
from headgate.replicas.building.commands import CommandFailed
from headgate.settings import EnvironmentSettings

T = TypeVar("T")


class BuildFailed(Exception):
    """The environment cannot be made; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every build has at hand."""

    settings: EnvironmentSettings
    environ: Mapping[str, str]
    """The server's environment variables; a build sees few of them."""
    bytecode: BytecodeStore

    def variables(self) -> dict[str, str]:
        """Environment variables of uv and of what it runs."""
        made = commands.build_environ(self.environ)
        return {**made, **pip_configuration.uv_variables(self.environ), "UV_NO_PROGRESS": "1"}


async def build(workshop: Workshop, spec: EnvironmentSpec, folder: Path, log: BuildLog) -> str:
    """Fills `folder/venv` and returns the lock (`name==version` lines). Raises BuildFailed."""
    log.write(
        f"building environment {spec.key}: Python {spec.python_version or '(any)'}, {len(spec.requirements)} requirements"
    )
    return await _bounded(workshop, log, _steps(workshop, spec, folder, log))


async def prove(workshop: Workshop, spec: EnvironmentSpec, folder: Path, log: BuildLog) -> None:
    """Imports MLflow and the direct requirements there, in a process of its own. Raises BuildFailed when MLflow cannot be."""
    await _bounded(workshop, log, _import(workshop, spec, folder, log))


def direct_requirements(spec: EnvironmentSpec) -> list[str]:
    """Normalised names of the projects the model asks for itself."""
    return [name for line in spec.requirements if (name := model_files.requirement_name(line))]


async def _bounded(workshop: Workshop, log: BuildLog, work: Coroutine[None, None, T]) -> T:
    """Work with the build's deadline, its failure in the log."""
    try:
        return await within(workshop.settings.build_deadline_s, work)
    except asyncio.TimeoutError as error:
        deadline = workshop.settings.build_deadline_s
        reason = f"it took longer than {deadline:g} s (setting environments.build_deadline_s)"
        log.write(f"failed: {reason}")
        raise BuildFailed(reason) from error
    except BuildFailed as error:
        log.write(f"failed: {error}")
        raise


async def _steps(workshop: Workshop, spec: EnvironmentSpec, folder: Path, log: BuildLog) -> str:
    await _make_venv(workshop, spec, folder, log)
    # Found out before packages are installed, which could put anything there.
    interpreter = str((folder / "venv/bin/python").resolve())
    await _install(workshop, spec, folder, log)
    lock = await _freeze(workshop, spec, folder)
    log.write("installed:\n" + lock)
    try:
        names = direct_requirements(spec)
        log.write(await workshop.bytecode.share(interpreter, folder, names, _plain_variables(workshop)))
    except (CommandFailed, OSError) as error:
        log.write(f"note: bytecode could not be made ahead: {getattr(error, 'output', error)}")
    return lock


async def _make_venv(workshop: Workshop, spec: EnvironmentSpec, folder: Path, log: BuildLog) -> None:
    uv, env = find_uv_bin(), workshop.variables()
    listing = ("python", "list", "--only-installed", "--output-format", "json")
    present = interpreters.local(workshop.environ)
    may_download = workshop.settings.python_downloads != "never"
    try:
        if not interpreters.has_exactly(spec.python_version, present):  # asking uv may take seconds
            present += interpreters.from_uv(await commands.run((uv, *listing), env, folder))
        python = interpreters.choose(spec.python_version, present, may_download=may_download)
    except interpreters.NoInterpreter as error:
        raise BuildFailed(str(error)) from error
    except CommandFailed as error:
        raise BuildFailed(f"uv cannot list the interpreters: {error.output}") from error
    argv = [uv, "venv", "--no-project", "--relocatable", "--python", python, "venv"]
    if not may_download:
        argv.append("--no-python-downloads")
    try:
        await commands.run(tuple(argv), env, folder, log)
    except CommandFailed as error:
        if "/" in python:
            raise BuildFailed(failure.explain(error.output)) from error
        message = interpreters.missing(spec.python_version or python, present)
        raise BuildFailed(f"{message}.\n{failure.explain(error.output)}") from error


async def _install(workshop: Workshop, spec: EnvironmentSpec, folder: Path, log: BuildLog) -> None:
    lines = spec.lock.splitlines() if spec.lock else spec.requirements
    text = "\n".join(_installable(line, spec.model_path) for line in lines)
    (folder / "requirements.txt").write_text(text + "\n")
    argv = [find_uv_bin(), "pip", "install", "--python", "venv/bin/python", "-r", "requirements.txt"]
    # A lock is complete: what it does not name was not there either.
    argv += ["--no-deps"] if spec.lock else []
    argv += shlex.split(workshop.settings.uv_args)
    if spec.lock and await _installed_from_cache(workshop, argv, folder, log):
        return
    try:
        await commands.run(tuple(argv), workshop.variables(), folder, log)
    except CommandFailed as error:
        raise BuildFailed(failure.explain(error.output)) from error


async def _installed_from_cache(workshop: Workshop, argv: list[str], folder: Path, log: BuildLog) -> bool:
    """Exact versions that uv has already need no index, which may be slow or away. uv installs all or nothing."""
    try:
        output = await commands.run((*argv, "--offline"), workshop.variables(), folder)
    except CommandFailed:
        log.write("not everything in the lock is in uv's cache; asking the indexes")
        return False
    log.write(f"from uv's cache alone:\n{output}")
    return True


def _installable(line: str, model_path: str) -> str:
    """A requirement line with a path inside the model made absolute, as a URL so that any character may be in it."""
    if not model_files.is_path(line):
        return line
    path, _, rest = re.sub(r"(\[|\s+;)", r"\n\1", line, count=1).partition("\n")
    return (Path(model_path) / path).as_uri() + rest


async def _freeze(workshop: Workshop, spec: EnvironmentSpec, folder: Path) -> str:
    argv = (find_uv_bin(), "pip", "freeze", "--quiet", "--python", "venv/bin/python")
    try:
        output = await commands.run(argv, workshop.variables(), folder)
    except CommandFailed as error:
        raise BuildFailed(f"the installed versions cannot be listed: {error.output}") from error
    inside = re.escape(Path(spec.model_path).as_uri()) + "/" if spec.model_path else "(?!)"
    lines = [re.sub(rf"^\S+ @ {inside}", "./", line) for line in output.splitlines() if line.strip()]
    return "\n".join(lines) + "\n"


async def _import(workshop: Workshop, spec: EnvironmentSpec, folder: Path, log: BuildLog) -> None:
    argv = (str(folder / "venv/bin/python"), "-I", "-W", "ignore", "-c", warming.IMPORT_ALL, *direct_requirements(spec))
    log.write("importing the packages")
    try:
        await commands.run(argv, _plain_variables(workshop), folder, log)
    except CommandFailed as error:
        raise BuildFailed(f"mlflow cannot be imported in the model's environment:\n{error.output[-2000:]}") from error


def _plain_variables(workshop: Workshop) -> dict[str, str]:
    return {name: value for name, value in workshop.variables().items() if not name.startswith("UV_")}
