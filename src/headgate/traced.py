"""What control gives replicas beside their own variables: secrets' values, and what they trace with.

Part of the composition root (`app.py`), apart from `tracked.py` because control needs nothing of the REST room.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from headgate.access.sealing import Sealer
from headgate.clock import SystemClock
from headgate.replicas.runtime import ReplicaSpec
from headgate.settings import Settings
from headgate.store.database import Database
from headgate.store.tracking_credentials import TrackingCredentials
from headgate.tracking.credentials import Issuer


def secret_vars(
    settings: Settings,
    database: Database,
    sealer: Sealer,
    resolve: Callable[[Mapping[str, str], Container[str]], Mapping[str, str]],
) -> Callable[[ReplicaSpec], Mapping[str, str]]:
    """`control.loop.Ports.secret_vars`: what `resolve` finds of secrets, and what a replica traces with."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    url = f"http://{host}:{settings.port}"
    issuer = Issuer(TrackingCredentials(database), sealer.seal, sealer.open, SystemClock(), url)

    def of(spec: ReplicaSpec) -> Mapping[str, str]:
        secret = resolve(spec.environment_vars, spec.secret_versions)
        if settings.tracking.start == "off":
            return secret
        told = {**spec.environment_vars, **secret}
        return {**issuer.variables(spec.deployment_key, spec.endpoint_id, told), **secret}

    return of
