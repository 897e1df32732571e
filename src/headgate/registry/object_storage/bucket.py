"""One prefix of an S3-compatible bucket: objects by key, conditional writes, streams, lists. The only file that knows obstore.

Called by this package. Absence is FileNotFoundError, a key that is too long OSError, other trouble `StorageUnavailable`.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headgate.registry.storage import PIECE_BYTES, StorageUnavailable
from headgate.settings import SettingsError, StorageSettings

if TYPE_CHECKING:
    from obstore.store import S3Store

logger = logging.getLogger(__name__)

MAX_KEY_BYTES = 1024
PART_BYTES = 16 * 1024 * 1024
"""Of a multipart upload, which has at most 10 000: files of up to 160 GB."""
PARALLEL_PARTS = 2
CHUNK_BYTES = 8 * 1024 * 1024
"""Of a file that is read, with one request each."""
_BROKEN_READS = 2
"""A request is repeated by obstore, but not an answer that breaks off."""
_DELETED_AT_ONCE = 1000
_REQUEST_S = 300
_SILENCE_S = 30
_CONNECT_S = 5
_RETRIES = 5
_RETRYING_S = 30


@dataclass(frozen=True, slots=True)
class Found:
    """An object in a list."""

    key: str
    size_bytes: int
    modified_at_ms: int


def check(settings: StorageSettings) -> None:
    """What can be said of the settings without asking the storage. Raises SettingsError."""
    _address(settings.url)
    if importlib.util.find_spec("obstore") is None:
        raise SettingsError(f"storage.url is {settings.url}, which needs the package obstore: install headgate[s3]")
    if settings.endpoint_url.startswith("http://") and not settings.allow_http:
        raise SettingsError(
            f"storage.endpoint_url is {settings.endpoint_url}: use https, or set storage.allow_http if the network may read along"
        )


class Bucket:
    """Blocks; thread-safe. Keys are relative to the prefix."""

    def __init__(self, settings: StorageSettings, folder: str) -> None:
        """`folder`: below the prefix of `settings.url`. Raises SettingsError."""
        check(settings)
        name, prefix = _address(settings.url)
        self._prefix = "/".join(part for part in (prefix, folder) if part)
        self._store = _store(settings, name, self._prefix)

    def get(self, key: str) -> tuple[bytes, str]:
        """A whole small object and its entity tag."""
        import obstore

        with _translated(key):
            found = obstore.get(self._store, key)
            return bytes(found.bytes()), found.meta["e_tag"] or ""

    def put(self, key: str, content: bytes) -> None:
        """Writes an object whole."""
        import obstore

        with _translated(key):
            obstore.put(self._store, self._checked(key), content, use_multipart=False)

    def put_pieces(self, key: str, pieces: Iterator[bytes]) -> None:
        """Writes an object piece by piece, in bounded memory. What `pieces` raises ends it: nothing of it stays."""
        import obstore

        with _translated(key):
            obstore.put(
                self._store,
                self._checked(key),
                pieces,
                use_multipart=True,
                chunk_size=PART_BYTES,
                max_concurrency=PARALLEL_PARTS,
            )

    def create(self, key: str, content: bytes) -> bool:
        """Writes an object unless there is one; False when there is. A repeated request may take its own work for another's."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with _translated(key):
            try:
                obstore.put(self._store, self._checked(key), content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def replace(self, key: str, content: bytes, e_tag: str) -> bool:
        """Writes an object if it is still the one with that entity tag; False when it is not, or is gone."""
        import obstore
        from obstore.exceptions import PreconditionError

        with _translated(key):
            try:
                obstore.put(self._store, key, content, mode={"e_tag": e_tag})
            except (PreconditionError, FileNotFoundError):
                return False
        return True

    def honours_conditions(self) -> bool:
        """Whether `create` means it: not every server does."""
        key = f"probes/{uuid.uuid4().hex}"
        try:
            return self.create(key, b"1") and not self.create(key, b"2")
        finally:
            self.delete([key])

    def read(self, key: str, start: int, length: int) -> Iterator[bytes]:
        """At least one byte of an object, in pieces of at most PIECE_BYTES. The first request is made at once."""
        end = start + length
        first = self._range(key, start, min(start + CHUNK_BYTES, end))
        return self._pieces(key, first, start, end)

    def _pieces(self, key: str, chunk: bytes, start: int, end: int) -> Iterator[bytes]:
        while True:
            for place in range(0, len(chunk), PIECE_BYTES):
                yield chunk[place : place + PIECE_BYTES]
            start += len(chunk)
            if start >= end or not chunk:
                return
            chunk = self._range(key, start, min(start + CHUNK_BYTES, end))

    def _range(self, key: str, start: int, end: int) -> bytes:
        """Whole, so that no request lasts as long as a slow reader likes."""
        import obstore

        for attempt in range(_BROKEN_READS):
            try:
                with _translated(key):
                    return bytes(obstore.get(self._store, key, options={"range": (start, end)}).bytes())
            except StorageUnavailable:
                if attempt == _BROKEN_READS - 1:
                    raise
        raise AssertionError

    def objects(self, folder: str, after: str = "") -> Iterator[Found]:
        """All objects below a folder in order of their keys, those after the key `after`; fetched as they are asked for."""
        import obstore

        with _translated(folder):
            for chunk in obstore.list(self._store, folder, offset=after or None, chunk_size=1000):
                yield from map(_found, chunk)

    def children(self, folder: str) -> tuple[list[Found], list[str]]:
        """Objects directly in a folder, and the names of its folders."""
        import obstore

        with _translated(folder):
            listed = obstore.list_with_delimiter(self._store, folder)
        folders = [str(prefix).rstrip("/").rpartition("/")[2] for prefix in listed["common_prefixes"]]
        return [_found(item) for item in listed["objects"]], folders

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects; absent ones are no error."""
        import obstore

        batch = list(keys)
        for start in range(0, len(batch), _DELETED_AT_ONCE):
            with _translated(batch[start]), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, batch[start : start + _DELETED_AT_ONCE])

    def _checked(self, key: str) -> str:
        size = len(f"{self._prefix}/{key}".encode())
        if size > MAX_KEY_BYTES:
            raise OSError(
                errno.ENAMETOOLONG, f"its object key would have {size} bytes; {MAX_KEY_BYTES} are allowed", key
            )
        return key


@contextlib.contextmanager
def _translated(key: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):  # else a wrong name would look as if every file were lost
            raise StorageUnavailable("The object storage has no such bucket; see storage.url.") from error
        raise
    except BaseError as error:
        logger.warning("object storage, %s: %s", key, str(error).partition("\n")[0])
        raise StorageUnavailable(f"The object storage cannot be used now: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """For users, who should not be told where the storage is."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        return "it refuses our credentials"
    if "HTTP error" in str(error):
        return "it cannot be reached"
    return "it answers with an error, which the server's log has"


def _found(item: Mapping[str, Any]) -> Found:
    return Found(item["path"], item["size"], int(item["last_modified"].timestamp() * 1000))


def _address(url: str) -> tuple[str, str]:
    """`s3://bucket/some/prefix` -> bucket, `some/prefix`. Raises SettingsError."""
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment or "//" in prefix:
        raise SettingsError(f"storage.url is {url!r}; write it as s3://bucket or s3://bucket/prefix")
    return parts.netloc, prefix


def _store(settings: StorageSettings, bucket: str, prefix: str) -> S3Store:
    from obstore.store import S3Store

    given = {
        "endpoint": settings.endpoint_url,
        "region": settings.region,
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
    }
    return S3Store(
        bucket,
        prefix=prefix or None,
        client_options={
            "allow_http": settings.allow_http,
            "connect_timeout": timedelta(seconds=_CONNECT_S),
            "read_timeout": timedelta(seconds=_SILENCE_S),
            "timeout": timedelta(seconds=_REQUEST_S),
        },
        retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRYING_S)},
        **{name: value for name, value in given.items() if value},  # type: ignore[arg-type]
    )
