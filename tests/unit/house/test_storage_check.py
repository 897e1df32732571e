from __future__ import annotations

from pathlib import Path

import pytest

from headgate import house
from headgate.settings import Settings, StorageSettings


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        (StorageSettings(url="gs://bucket"), r"write it as s3://bucket"),
        (StorageSettings(url="s3://bucket", endpoint_url="http://minio:9000"), r"storage\.allow_http"),
    ],
)
def test_a_storage_that_cannot_be_meant_is_said_before_anything_is_started(
    tmp_path: Path, storage: StorageSettings, reason: str
) -> None:
    with pytest.raises(house.CannotServe, match=reason):
        house._check_storage(Settings(data_dir=tmp_path, storage=storage))
    house._check_storage(Settings(data_dir=tmp_path))
