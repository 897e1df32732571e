"""Whether the server's own Python environment satisfies a model's pins exactly (setting `environments.mode = local`)."""

from __future__ import annotations

import sys
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement

from headgate.domain import model_files
from headgate.domain.environment import EnvironmentSpec
from headgate.replicas.building import interpreters


def mismatch(spec: EnvironmentSpec) -> str:
    """Why the server's own environment cannot be used for `spec`; empty when it can."""
    wanted = interpreters.parse(spec.python_version)[:2]
    if wanted and wanted != tuple(sys.version_info[:2]):
        return f"the model asks for Python {spec.python_version}, the server runs {sys.version_info[0]}.{sys.version_info[1]}"
    lines = spec.lock.splitlines() if spec.lock else spec.requirements
    return next((reason for line in lines if (reason := _unsatisfied(line))), "") or _unsatisfied("mlflow")


def lock() -> str:
    """What is installed in the server's own environment, as `name==version` lines."""
    found = {item.metadata["Name"]: item.version for item in metadata.distributions() if item.metadata["Name"]}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items(), key=lambda pair: pair[0].lower()))


def _unsatisfied(line: str) -> str:
    if model_files.is_path(line) or line.startswith("-"):
        return "" if line.startswith("--") else f"{line} is no pin that can be compared"
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return f"{line} is no pin that can be compared"
    if requirement.marker is not None and not requirement.marker.evaluate():
        return ""
    if requirement.url:
        return f"{line} comes from a URL"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed in the server's environment"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"the model asks for {line}, the server has {requirement.name} {version}"
    return ""
