"""A file as an answer, whole or the one range that was asked for. Called by `files`, and by the tracking family for artifacts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from email.utils import formatdate

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from headgate import errors
from headgate.registry.paths import FilePath
from headgate.registry.storage import Entry
from headgate.registry.version_files import VersionFiles

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_BINARY = "application/octet-stream"


def answer(request: Request, files: VersionFiles, file: FilePath) -> Response:
    """200, 206 or 416; without a body for HEAD. Raises NotFound."""
    location = (file.name, file.version, file.path)
    return answer_with(request, existing(files, file), file.text, lambda start, size: files.read(location, start, size))


def answer_with(request: Request, found: Entry, text: str, read: Callable[[int, int], Iterator[bytes]]) -> Response:
    """As `answer`, of a file that messages call `text`; `read` gets the first byte and how many."""
    size = found.size_bytes
    headers = {
        "Accept-Ranges": "bytes",
        "Last-Modified": formatdate(found.modified_at_ms / 1000, usegmt=True),
        # Anybody's bytes on our origin: no browser may take them for a page.
        "X-Content-Type-Options": "nosniff",
    }
    start, end, status = 0, size, 200
    wanted = _wanted(request.headers.get("range", ""), size)
    if wanted is not None:
        start, end, status = *wanted, 206
        if start >= end:
            headers["Content-Range"] = f"bytes */{size}"
            problem = errors.InvalidParameterValue(f"Range not satisfiable: {text} has {size} bytes.")
            return JSONResponse(problem.body(), 416, headers)
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=_BINARY)
    return StreamingResponse(read(start, end - start), status, headers, _BINARY)


def existing(files: VersionFiles, file: FilePath) -> Entry:
    """Raises NotFound for what is absent or a folder."""
    found = files.stat(file.name, file.version, file.path)
    if found.is_folder:
        raise errors.NotFound(f"{file.text} is a directory, not a file.")
    return found


def _wanted(header: str, size: int) -> tuple[int, int] | None:
    """First and one past the last byte. None: the whole file (also for several ranges, which no client needs)."""
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size
