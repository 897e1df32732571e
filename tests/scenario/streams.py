"""A client that reads a streamed answer event by event, and can tell an end from a cut."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.scenario.house import TOKEN, House

DONE = "[DONE]"


class Client:
    """One connection, so one server process."""

    def __init__(self, house: House, timeout_s: float = 120.0) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=timeout_s)
        self._answer: http.client.HTTPResponse | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves, whatever is on its way."""
        if self._answer is not None:
            self._answer.close()
        self._connection.close()

    def begin(self, name: str, body: Mapping[str, Any]) -> None:
        """Sends a request to `invocations`."""
        sent = json.dumps(body)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        self._connection.request("POST", f"/serving-endpoints/{name}/invocations", sent, headers)

    def ask(self, name: str, body: Mapping[str, Any]) -> http.client.HTTPResponse:
        """The same; the head of its answer."""
        self.begin(name, body)
        self._answer = self._connection.getresponse()
        return self._answer

    def answer(self, name: str, body: Mapping[str, Any]) -> tuple[int, Mapping[str, str], Any]:
        """Status, headers (lower case) and JSON."""
        got = self.ask(name, body)
        headers = {key.lower(): value for key, value in got.getheaders()}
        return got.status, headers, json.loads(got.read())


class Stream:
    """The events of one streamed answer."""

    def __init__(self, client: Client, name: str, body: Mapping[str, Any]) -> None:
        self._answer = client.ask(name, {**body, "stream": True})
        self.status = self._answer.status
        self.headers = {key.lower(): value for key, value in self._answer.getheaders()}
        self.done = False
        """`[DONE]` came."""
        self.cut = False
        """The connection ended before the answer did."""
        self.error: Any = None
        """What an error event said."""
        self._texts: list[str] = []
        self._lines = self._read()

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(map(str, self._texts))

    def next(self) -> str | None:
        """The next `data:`; None at the end."""
        return next(self._lines, None)

    def rest(self) -> Stream:
        """Reads to the end."""
        for _ in self._lines:
            pass
        return self

    def _read(self) -> Iterator[str]:
        kept = b""
        try:
            while data := self._answer.read1():
                *lines, kept = (kept + data).split(b"\n")
                for line in filter(None, lines):
                    assert line.startswith(b"data: "), line
                    told = line.removeprefix(b"data: ").decode()
                    self._note(told)
                    yield told
            self._answer.close()  # so that its connection can be used again
        except (http.client.IncompleteRead, ConnectionError):
            self.cut = True

    def _note(self, data: str) -> None:
        if data == DONE:
            self.done = True
            return
        assert not self.done, f"after [DONE]: {data}"
        said = json.loads(data)
        if "error" in said:
            self.error = said
        try:
            self._texts.extend(choice["delta"].get("content") or "" for choice in said["choices"])
        except (AttributeError, LookupError, TypeError):
            pass  # no chunk of a chat, or not as a vendor should say it
