"""A key rotation against writers at work, on both databases: none of what they write is left behind with the old key."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.fakes import vendors_endpoints

from headgate import settings as settings_module
from headgate.access import key_rotation, sealing, secret_key
from headgate.access.principals import Principal
from headgate.access.secrets import Vault
from headgate.clock import SystemClock
from headgate.domain.secret_references import SecretReference
from headgate.store import sealed_columns
from headgate.store.database import Database
from headgate.store.secrets import Secrets

ADMIN = Principal("1", "admin", admin=True)


def test_nothing_written_meanwhile_keeps_the_old_key(database: Database, tmp_path: Path) -> None:
    settings = settings_module.load({"data_dir": tmp_path, "database_url": database.url}, environ={})
    over = threading.Event()
    written: dict[str, bytes] = {}
    failed: list[BaseException] = []

    def write(name: str) -> None:
        # A server of its own: it learns of the new key from the file only.
        vault = Vault(Secrets(database), sealing.open_sealer(settings), SystemClock())
        vendors_endpoints.create(database, vault.sealer, name, f"sk-{name}")
        try:
            while not over.is_set():
                vendors_endpoints.update(database, vault.sealer, name)
                key = f"{name}-{len(written) % 40}"
                vault.put(ADMIN, SecretReference("s", key), key.encode())
                written[key] = key.encode()
                assert vault.read(ADMIN, SecretReference("s", key)) == written[key]
        except BaseException as error:
            failed.append(error)

    Vault(Secrets(database), secret_key.ensure(database, settings), SystemClock()).create_scope("s", "1")
    threads = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    while len(written) < 30 and not failed:
        over.wait(0.001)
    rotations = [key_rotation.rotate(settings) for _ in range(5)]
    over.set()
    for thread in threads:
        thread.join()
    assert failed == [] and rotations[0].resealed >= 30
    assert set(sealed_columns.key_ids(database)) == {rotations[-1].key_id}
    fresh = Vault(Secrets(database), secret_key.ensure(database, settings), SystemClock())
    for key, value in written.items():
        assert fresh.read(ADMIN, SecretReference("s", key)) == value
    for number in range(3):
        assert vendors_endpoints.key_of(database, fresh.sealer, f"w{number}") == f"sk-w{number}"
