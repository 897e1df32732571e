"""All routers of tracking, in the order they must be mounted. Called by the composition root and by the generated pages."""

from __future__ import annotations

from fastapi import APIRouter

from headgate.api.tracking import artifact_files, artifact_urls, mlflow_api, pages, proxied_artifacts
from headgate.api.tracking.artifact_store import ArtifactStore
from headgate.api.tracking.pages import SessionOf
from headgate.api.tracking.proxy import Tracking
from headgate.registry.signing import UrlSigner
from headgate.registry.storage import Storage

ROUTES = (*mlflow_api.ROUTES, *pages.ROUTES)
"""What is answered by routes the application does not list itself."""


def closed(tracking: Tracking, storage: Storage, signer: UrlSigner) -> list[APIRouter]:
    """Behind the door. Before the registry's files, whose paths include these."""
    store = ArtifactStore(storage)
    return [
        artifact_files.routes(store, signer),
        proxied_artifacts.routes(store),
        artifact_urls.routes(tracking, signer),
        mlflow_api.routes(tracking),
    ]


def opened(
    tracking: Tracking, storage: Storage, signer: UrlSigner, session_of: SessionOf = pages.nobody
) -> list[APIRouter]:
    """Those that authenticate by themselves. Before the registry's signed files."""
    return [artifact_files.signed_routes(ArtifactStore(storage), signer), pages.routes(tracking, session_of)]
