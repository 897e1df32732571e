"""MLflow's tracing inside a served model: on only where its owner wants traces. Called by `loading`, and ahead of it by `zygote`."""

from __future__ import annotations

import os
import sys
from typing import Any

_WANTED = "ENABLE_MLFLOW_TRACING"
_ELSEWHERE = "MLFLOW_TRACKING_URI"
"""Set by owners who trace to a server of their own."""


def settle() -> None:
    """Switches it off unless it is wanted: a decorated predict would write its traces to files beside the replica, request by request.

    Needs MLflow imported. Repeating it costs nothing.
    """
    if os.environ.get(_WANTED, "").strip().lower() == "true" or os.environ.get(_ELSEWHERE):
        return
    tracing: Any = sys.modules.get("mlflow.tracing")
    disable = getattr(tracing, "disable", None)
    if disable is None:
        return
    try:
        disable()
    except Exception as error:
        print(f"tracing could not be switched off: {type(error).__name__}: {error}", file=sys.stderr)
