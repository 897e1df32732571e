"""Credentials of served models: one per deployment, good for writing traces into one experiment and for nothing else.

`Issuer` gives them out when control starts a replica; `Holders` says whose one is when it is shown. The authenticator knows none
of them, so that everything but `api.tracking.trace_door` refuses them.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headgate.clock import Clock
from headgate.store.tracking_credentials import Deployed, Fresh, TrackingCredentials

logger = logging.getLogger(__name__)

PREFIX = "hgtrace_"
_KNOWN_S = 2.0
_REMEMBERED = 1024
# Whoever names a server or a token of their own traces there.
_OWN = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN", "DATABRICKS_CLIENT_ID")
# Predictions wait for none of this: traces leave from a thread, and go soon when nobody takes them.
_UNHURRIED = {
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ASYNC_TRACE_LOGGING_RETRY_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def wanted_experiment(variables: Mapping[str, str]) -> str | None:
    """The experiment a served entity's variables ask to be traced into with a credential of ours."""
    asked = variables.get("ENABLE_MLFLOW_TRACING", "").strip().lower() in ("true", "1")
    experiment = variables.get("MLFLOW_EXPERIMENT_ID", "").strip()
    own = any(name in variables for name in _OWN)
    return experiment if asked and not own and experiment and len(experiment) <= 64 else None


def token_hash(token: str) -> str:
    """What is stored of a credential. It is random and long: no key is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Issuer:
    """Gives replicas what they trace with. Used by control."""

    store: TrackingCredentials
    seal: Callable[[bytes, str], str]
    open: Callable[[str, str], bytes]
    clock: Clock
    url: str
    """Where replicas reach this server."""

    def variables(self, deployment_key: str, endpoint_id: str, variables: Mapping[str, str]) -> dict[str, str]:
        """What is added to a replica's environment, the same for all replicas of a deployment; often nothing. Blocks."""
        experiment = wanted_experiment(variables)
        if experiment is None:
            return {}
        context = f"tracking:{deployment_key}"
        sealed = self.store.sealed(
            Deployed(deployment_key, endpoint_id, experiment), self.clock.now_ms(), lambda: self._make(context)
        )
        if sealed is None:
            return {}
        token = self.open(sealed, context).decode()
        added = {
            **_UNHURRIED,
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_TOKEN": token,
            # Else MLflow 3 asks for the experiment at every prediction, and waits for the answer.
            "MLFLOW_TRACING_DESTINATION": experiment,
        }
        return {name: value for name, value in added.items() if name not in variables}

    def _make(self, context: str) -> Fresh:
        token = PREFIX + secrets.token_urlsafe(32)
        return Fresh(token_hash(token), self.seal(token.encode(), context))


@dataclass(slots=True)
class Holders:
    """Whose a credential is. Asks the store at most every few seconds per credential. Blocks."""

    store: TrackingCredentials
    may_track: Callable[[str], bool]
    """User name of an endpoint's creator -> whether there is such a user, and an active one."""
    clock: Clock
    _known: dict[str, tuple[float, Deployed | None]] = field(default_factory=dict)

    def of(self, token: str) -> Deployed | None:
        """The deployment; None when the credential is not good (any more)."""
        digest = token_hash(token)
        until_s, deployed = self._known.get(digest, (0.0, None))
        now_s = self.clock.monotonic_s()
        if now_s < until_s:
            return deployed
        found = self.store.holder(digest)
        deployed = found[0] if found and self.may_track(found[1]) else None
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[digest] = now_s + _KNOWN_S, deployed
        return deployed
