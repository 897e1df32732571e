"""A request's body as a file, piece by piece to the storage. Called by `files`, and by the tracking family for artifacts."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import Protocol

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from headgate import errors
from headgate.clock import within
from headgate.registry.paths import FilePath
from headgate.registry.version_files import VersionFiles

logger = logging.getLogger(__name__)

PIECE_BYTES = 1024 * 1024
IDLE_S = 120.0


class Upload(Protocol):
    """A file on its way: `registry.storage.Writing`, or `FileUpload`."""

    def write(self, data: bytes) -> None: ...
    def commit(self) -> None: ...
    def abort(self) -> None: ...


async def receive(request: Request, files: VersionFiles, file: FilePath) -> None:
    """Stores the whole body or nothing. Raises InvalidState, InvalidParameterValue, BadRequest when the client broke off."""
    await receive_into(request, lambda: files.upload(file.name, file.version, file.path), file.text)


async def receive_into(request: Request, begin: Callable[[], Upload], name: str) -> None:
    """As `receive`, into what `begin` begins; `name` is what messages call it."""
    try:
        upload = await run_in_threadpool(begin)
        try:
            size = await _copy(request, upload)
            declared = request.headers.get("content-length", "")
            if declared.isdecimal() and int(declared) != size:
                raise errors.BadRequest(f"The body has {size} bytes instead of the {declared} announced.")
            await run_in_threadpool(upload.commit)
        finally:
            upload.abort()
    except ClientDisconnect as error:
        logger.info("upload of %s broken off by the client", name)
        raise errors.BadRequest("The upload was broken off.") from error
    except errors.HeadgateError:
        raise
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise errors.InvalidParameterValue(
                f"The name {name} is too long for the storage: {error.strerror}."
            ) from error
        logger.error("upload of %s failed: %s", name, error)
        raise errors.InternalError(f"The file could not be stored: {error.strerror}.") from error


async def _copy(request: Request, upload: Upload) -> int:
    size, held = 0, bytearray()
    pieces = request.stream()
    while True:
        try:
            piece = await within(IDLE_S, anext(pieces))
        except StopAsyncIteration:
            break
        except asyncio.TimeoutError as error:
            raise errors.BadRequest(f"Nothing of the body arrived for {IDLE_S:.0f} seconds.") from error
        held += piece
        size += len(piece)
        if len(held) >= PIECE_BYTES:
            await run_in_threadpool(upload.write, bytes(held))
            held.clear()
    await run_in_threadpool(upload.write, bytes(held))
    return size
