"""HTTP to a Headgate server, for the client commands. Knows paths and answers only as far as errors and retries go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from headgate.cli.connection import Connection
from headgate.cli.problems import ApiError, CliError, Unreachable

if TYPE_CHECKING:
    import requests

SERVING_ENDPOINTS = "/api/2.0/serving-endpoints"
UNITY_CATALOG = "/api/2.0/mlflow/unity-catalog"

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 60.0
INFERENCE_TIMEOUT_S = 900.0  # above the server's longest execution plus the longest wait for a sleeping endpoint
RETRY_BUDGET_S = 30.0


def endpoint_path(name: str, *more: str) -> str:
    """`/api/2.0/serving-endpoints/NAME/more…`, each part quoted."""
    return "/".join([SERVING_ENDPOINTS, quote(name, safe=""), *(quote(part, safe=":") for part in more)])


class _Bearer:
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Client:
    """Requests with bearer token, in JSON. 429 and 503 are tried again while `Retry-After` fits in 30 s altogether."""

    def __init__(
        self,
        connection: Connection,
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        retry_budget_s: float = RETRY_BUDGET_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import requests  # here: costs 0.2 s that `--help` and `serve` need not pay

        self.host = connection.host
        self._session = requests.Session()
        self._session.auth = _Bearer(connection.token)  # as `auth`, since a mere header would lose against ~/.netrc
        self._session.headers["User-Agent"] = "headgate-cli"
        self._session.trust_env = not _is_local(connection.host)  # a proxy cannot know this machine's loopback
        self._timeout_s = answer_timeout_s
        self._retry_budget_s = retry_budget_s
        self._sleep = sleep

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The parsed answer. Raises CliError."""
        with self._answer("GET", path, params=params) as answer:
            return _parse(answer)

    def get_text(self, path: str) -> str:
        """The answer as it is. Raises CliError."""
        with self._answer("GET", path) as answer:
            return str(answer.text)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """The parsed answer to a request with a JSON body. Raises CliError."""
        with self._answer(method, path, json=body) as answer:
            return _parse(answer)

    @contextmanager
    def invoke(self, path: str, body: Any) -> Iterator[requests.Response]:
        """An inference answer whose body is read by the caller as it arrives. Raises CliError."""
        with self._answer("POST", path, json=body, stream=True, read_timeout_s=INFERENCE_TIMEOUT_S) as answer:
            yield answer

    @contextmanager
    def _answer(
        self, method: str, path: str, *, read_timeout_s: float | None = None, **options: Any
    ) -> Iterator[requests.Response]:
        import requests

        options["timeout"] = (CONNECT_TIMEOUT_S, read_timeout_s or self._timeout_s)
        try:
            answer = self._retried(method, f"{self.host}{path}", options)
            with answer:
                if not answer.ok:
                    raise _error(answer)
                yield answer
        except requests.Timeout as error:
            raise Unreachable(f"{self.host} did not answer in time ({method} {path})") from error
        except requests.exceptions.InvalidURL as error:
            raise CliError(f"{self.host} is not a valid server address; expected e.g. http://127.0.0.1:8080") from error
        except requests.RequestException as error:
            raise Unreachable(
                f"cannot reach {self.host}: {_reason(error)}; check that `headgate serve` runs there "
                "and that DATABRICKS_HOST, --host or the profile names the right address and port"
            ) from error

    def _retried(self, method: str, url: str, options: Mapping[str, Any]) -> requests.Response:
        left_s = self._retry_budget_s
        while True:
            answer = self._session.request(method, url, allow_redirects=False, **options)
            wait_s = _retry_after_s(answer)
            if wait_s is None or wait_s > left_s:
                return answer
            answer.close()
            left_s -= wait_s
            self._sleep(wait_s)


def _is_local(host: str) -> bool:
    return host.split("://")[-1].split(":")[0] in ("localhost", "127.0.0.1", "0.0.0.0")


def _retry_after_s(answer: requests.Response) -> float | None:
    """Seconds to wait before another try, or None when there should be none."""
    if answer.status_code not in (429, 503):
        return None
    try:
        return max(0.05, float(answer.headers.get("Retry-After", "1")))
    except ValueError:
        return 1.0


def _parse(answer: requests.Response) -> Any:
    if answer.status_code == 204:
        return {}
    try:
        return answer.json()
    except ValueError as error:
        raise CliError(f"{answer.url} did not answer with JSON; is this the address of a Headgate server?") from error


def _error(answer: requests.Response) -> ApiError:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and "message" in body:
        return ApiError(str(body["message"]), str(body.get("error_code", answer.status_code)), answer.status_code)
    said = " ".join(answer.text.split())[:200] or answer.reason
    return ApiError(f"{answer.url} answered: {said}", f"HTTP {answer.status_code}", answer.status_code)


def _reason(error: BaseException) -> str:
    """The innermost cause, without the layers of object names urllib3 puts around it."""
    text = str(error)
    for known in ("Connection refused", "Name or service not known", "No route to host", "certificate verify failed"):
        if known in text:
            return known.lower()
    return text.split("(Caused by")[-1].split(": ")[-1].strip(" ')\"") or type(error).__name__
