"""The fake vendor as a process of its own, for tests of a running house: many vendors, each with a script, on one port."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


class VendorProcess:
    """Start it, tell each of its vendors what to do, ask what each heard; kill it, and start it again on the same port."""

    def __init__(self, port: int = 0) -> None:
        """`port` 0: one that nobody else has now, but somebody may get while this one is killed."""
        self.port = port
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> VendorProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> VendorProcess:
        """On the port it had before, if any. Scripts do not survive."""
        command = [sys.executable, "-m", "tests.fakes.vendor", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        assert said.startswith("http://"), "the fake vendor did not start"
        self.port = int(said.rpartition(":")[2])
        return self

    def kill(self) -> None:
        """Nothing listens on its port any more, and its connections are broken."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    @property
    def url(self) -> str:
        """Where it listens. A vendor called `anna` is at `<url>/anna`, with her dialect's own paths below."""
        return f"http://127.0.0.1:{self.port}"

    def act(self, name: str, **act: Any) -> None:
        """From now on this vendor answers so; what it heard before is forgotten. Fields of `script.Act`, as JSON."""
        self._ask("PUT", f"/_act/{name}", act)

    def acts(self, name: str, *acts: dict[str, Any]) -> None:
        """The vendor's next answers, one per request. It exists already."""
        self._ask("POST", f"/_acts/{name}", list(acts))

    def go_on(self, name: str) -> None:
        """Whatever the vendor holds back is sent, now and from now on."""
        self._ask("POST", f"/_go/{name}", {})

    def did(self, name: str) -> dict[str, Any]:
        """What came to the vendor: `count`, `busy` (being answered), `left` (clients that went away), and the requests `heard`."""
        told: dict[str, Any] = self._ask("GET", f"/_heard/{name}")
        return told

    def last(self, name: str) -> dict[str, Any]:
        """The body of the last request that the vendor heard."""
        body: dict[str, Any] = json.loads(self.did(name)["heard"][-1]["body"])
        return body

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)
