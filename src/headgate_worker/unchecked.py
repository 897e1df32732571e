"""PyFuncModel's predict without the schema enforcement, for data that already is what enforcement would make of it."""

from __future__ import annotations

import copy
from typing import Any, Callable, Optional


def without_schema(model: Any) -> Optional[Callable[[Any], Any]]:
    """A predict that does all that MLflow's does (context, params' defaults, tracing) but enforce the input schema: a copy of the
    model object whose metadata names no inputs. None when this MLflow's model does not work that way."""
    told = model.metadata
    signature = copy.copy(told.signature)
    signature.inputs = None
    metadata = copy.copy(told)
    metadata.signature = signature
    twin = copy.copy(model)
    twin._model_meta = metadata
    if twin.metadata.get_input_schema() is not None or model.metadata.get_input_schema() is None:
        return None
    return twin.predict  # type: ignore[no-any-return]
