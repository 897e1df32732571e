"""Clients that remember which of their requests were answered completely, through whatever happens to the server."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Sequence
from typing import Any

from tests.scenario.house import TOKEN, House, until

PAUSE_S = 0.02
"""Before a server that does not answer is asked again."""


class AnsweredLoad:
    """`clients` threads, each asking `endpoints` in turn, whole and streamed, until the end of the `with` block."""

    def __init__(self, house: House, endpoints: Sequence[str], body: dict[str, Any], clients: int = 4) -> None:
        self._port, self._endpoints, self._body = house.port, endpoints, body
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(clients)]
        self.answered: dict[str, list[str]] = {name: [] for name in endpoints}
        """Request ids by endpoint, of answers with status 200 that came to their end."""
        self.refused = 0
        """Answers with 503."""
        self.broken = 0
        """Requests whose connection ended early, or could not be made."""
        self.odd: list[str] = []
        """Answers that nobody should get."""

    def __enter__(self) -> AnsweredLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self._threads), "the load did not end"

    @property
    def count(self) -> int:
        """Complete answers so far."""
        return sum(map(len, self.answered.values()))

    def more(self, count: int) -> None:
        """Waits for so many more of them."""
        least = self.count + count
        until(lambda: self.count >= least, f"{count} more answers", 300)

    def _run(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        while not self._stopping.is_set():
            number += 1
            name, streamed = self._endpoints[number % len(self._endpoints)], number % 3 == 0
            try:
                self._ask(connection, name, streamed)
            except (OSError, http.client.HTTPException):
                self.broken += 1
                connection.close()
                self._stopping.wait(PAUSE_S)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, name: str, streamed: bool) -> None:
        """Raises OSError or HTTPException for what is no complete answer."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        body = json.dumps({**self._body, "stream": streamed})
        connection.request("POST", f"/serving-endpoints/{name}/invocations", body, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status == 200 and (not streamed or said.endswith(b"data: [DONE]\n\n")):
            self.answered[name].append(answer.headers["x-databricks-request-id"])
        elif answer.status == 503:
            self.refused += 1
            self._stopping.wait(PAUSE_S)
        elif answer.status == 200 and b'"error"' in said:
            self.broken += 1
        else:
            self.odd.append(f"{answer.status} {said[-300:]!r}")
