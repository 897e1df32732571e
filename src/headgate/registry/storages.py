"""Which storage the settings ask for. Called by the composition root and by whoever keeps files of its own there (`folder`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headgate.clock import Clock
from headgate.domain.environment import ModelDescription
from headgate.registry.descriptions import Descriptions
from headgate.registry.local_disk import LocalDisk
from headgate.registry.object_storage.adapter import ObjectStorage
from headgate.registry.object_storage.bucket import Bucket
from headgate.registry.object_storage.copies import Copies
from headgate.registry.other_disk import OtherDisk
from headgate.registry.storage import Storage
from headgate.settings import Settings

if TYPE_CHECKING:  # the agent needs the files only, and no database
    from headgate.registry.models import Registry

MODELS = "models"


def open_storage(settings: Settings, folder: str, clock: Clock, models_at: str = "") -> Storage:
    """The storage of `folder`: below `data_dir`, or below the prefix of `storage.url`. Raises SettingsError.

    `models_at`: where the house is whose `data_dir` has the files, if it is another one.
    """
    if not settings.storage.url:
        return OtherDisk(models_at) if models_at else LocalDisk(settings.data_dir / folder)
    bucket = Bucket(settings.storage, folder)
    return ObjectStorage(bucket, _copies(settings, folder, bucket), clock)


def open_copies(settings: Settings, folder: str) -> Copies | None:
    """What of it is on this machine; None when the storage is on this machine itself."""
    return _copies(settings, folder, Bucket(settings.storage, folder)) if settings.storage.url else None


def describing(settings: Settings, registry: Registry) -> Callable[[str, str], ModelDescription]:
    """`registry.describe`, remembered on this machine where asking the storage is a request to somewhere else."""
    if not settings.storage.url:
        return registry.describe
    return Descriptions(registry, settings.data_dir / "copies" / "descriptions").describe


def _copies(settings: Settings, folder: str, bucket: Bucket) -> Copies:
    return Copies(bucket, settings.data_dir / "copies" / folder, settings.storage.cache_bytes)
