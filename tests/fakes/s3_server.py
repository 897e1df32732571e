"""A real S3 server (moto's) in a process of its own: starts, goes away, comes back with nothing lost to whoever kept it running."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from headgate.settings import StorageSettings

_DEADLINE_S = 60.0
_PROGRAM = """
import signal, sys
from moto.server import ThreadedMotoServer
port = int(sys.argv[1])
# Before there is any thread: one that does not block them would take them instead, and end the process.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
server.start()
while True:  # goes away on one signal, comes back with all it had on the other
    if signal.sigwait({signal.SIGUSR1, signal.SIGUSR2}) == signal.SIGUSR1:
        server.stop()
    else:
        server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
        server.start()
"""


@dataclass
class S3Server:
    """The server. What it holds is in its memory."""

    process: subprocess.Popen[bytes]
    port: int
    buckets: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, prefix: str = "pre/fix", **more: int) -> StorageSettings:
        """Settings of a new, empty bucket."""
        bucket = f"bucket-{secrets.token_hex(4)}"
        _request("PUT", f"{self.url}/{bucket}")
        self.buckets.append(bucket)
        return StorageSettings(
            url=f"s3://{bucket}/{prefix}".rstrip("/"),
            endpoint_url=self.url,
            region="us-east-1",
            access_key_id="key",
            secret_access_key="secret",
            allow_http=True,
            **more,
        )

    def unfinished_uploads(self, storage: StorageSettings) -> int:
        """Multipart uploads that were begun and neither completed nor aborted."""
        bucket = storage.url.removeprefix("s3://").partition("/")[0]
        return _request("GET", f"{self.url}/{bucket}?uploads").count(b"<Upload>")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Meanwhile nobody can connect."""
        self.process.send_signal(signal.SIGUSR1)
        _until(lambda: not _answers(self), "the S3 server went away")
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGUSR2)
            _until(lambda: _answers(self), "the S3 server came back")

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Meanwhile nobody is answered."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """Runs until the end."""
    with socket.socket() as held:  # never listens: the port is nobody else's while the server is away
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield from _served(held.getsockname()[1])


def _served(port: int) -> Iterator[S3Server]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = S3Server(process, port)
    try:
        _until(lambda: _answers(server), "the S3 server started")
        yield server
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def _answers(server: S3Server) -> bool:
    try:
        _request("GET", f"{server.url}/moto-api/")
    except OSError:
        return False
    return True


def _request(method: str, url: str) -> bytes:
    # The server looks at the region in the signature's scope, not at the signature.
    scope = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"
    asked = urllib.request.Request(url, method=method, headers={"Authorization": scope})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        found: bytes = answer.read()
    return found
