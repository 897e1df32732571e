"""Bounds on one request before anything is spent on it: its length, and the endpoint's rate limits.

Costs nothing where an endpoint has no limits; with them, counters in memory are asked (`limits`), and only when those must hear of other servers
first does the request wait. What was reserved is settled when the request is finished, whatever became of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from headgate import errors
from headgate.access.directory import Directory
from headgate.domain import rate_limits
from headgate.domain.identity import Population
from headgate.domain.rate_limits import Policy
from headgate.domain.routing import EndpointRoute, GatewayRoute
from headgate.domain.usage import estimated_tokens
from headgate.gateway.call import EMBEDDINGS, Call
from headgate.limits.limiter import Admission, Asked, Limiter
from headgate.providers import port

_REMEMBERED = 4096
_UNKNOWN_COST = (499, 504)
"""The client left or the time was up: the vendor may have worked on it all the same."""
_UNSPOKEN = (b";base64,", b'"data":"', b'"data": "')
"""After these comes a file, not words."""
_SMALL_BYTES = 4096
"""What may be in shorter bodies is not worth looking for."""


@dataclass(frozen=True, slots=True)
class _Known:
    gateway: GatewayRoute
    directory: Directory
    policy: Policy


class Limit:
    """Refuses with 400 what is too long (never 413, which clients do not know), with 429 what has no room. Sets `call.admission`."""

    def __init__(
        self, payload_bytes: int, limiter: Limiter | None = None, directory: Callable[[], Directory] | None = None
    ) -> None:
        """`directory` gives the newest, quickly: limits name groups, callers have their ids."""
        nobody = Directory(Population())
        self._payload_bytes = payload_bytes
        self._limiter = limiter
        self._directory = directory or (lambda: nobody)
        self._policies: dict[str, _Known] = {}

    def __call__(self, call: Call) -> Awaitable[None] | None:
        if call.body_bytes > self._payload_bytes:
            raise errors.BadRequest(
                f"The request body is larger than the limit of {self._payload_bytes} bytes. Send fewer rows per request."
            )
        endpoint = call.endpoint
        if not endpoint.gateway.rate_limits or self._limiter is None:
            return None
        policy = self._policy(endpoint)
        tokens = reserved(call) if policy.counts_tokens else 0
        admitted = self._limiter.admit(Asked(endpoint.name, policy, call.principal, tokens))
        if isinstance(admitted, Admission):
            call.admission = admitted
            return None
        return _waited(call, admitted)

    def ended(self, call: Call) -> None:
        """Settles what was reserved."""
        if call.admission is not None and call.admission.is_open:
            call.admission.settle(spent(call))

    def _policy(self, endpoint: EndpointRoute) -> Policy:
        """The same object for as long as neither the endpoint's limits nor the directory change."""
        known, directory = self._policies.get(endpoint.id), self._directory()
        if known is not None and known.gateway is endpoint.gateway and known.directory is directory:
            return known.policy
        if len(self._policies) >= _REMEMBERED:
            self._policies.clear()

        def group_id(name: str) -> str | None:
            group = directory.by_group_name(name)
            return None if group is None else group.id

        policy = Policy(endpoint.id, endpoint.gateway.rate_limits, group_id)
        self._policies[endpoint.id] = _Known(endpoint.gateway, directory, policy)
        return policy


async def _waited(call: Call, admitted: Awaitable[Admission]) -> None:
    call.admission = await admitted


def reserved(call: Call) -> int:
    """Tokens to hold for a request until it is known what it takes."""
    asked = call.asked
    most = None if asked is None else asked.most_output_tokens
    choices = 1 if asked is None else asked.n or 1
    if call.task == port.EMBEDDINGS or call.head.api == EMBEDDINGS:
        most = 0
    return rate_limits.reservation(prompt_characters(call.body), most, choices)


def spent(call: Call) -> int | None:
    """Tokens a finished request took: what the model says, or else an estimate. None: what was reserved is the best there is."""
    if call.usage is not None:
        return call.usage.total_tokens
    if call.streamed or call.status in _UNKNOWN_COST:
        return None
    if call.status >= 400:
        return 0
    answered = 0 if call.task == port.EMBEDDINGS or call.head.api == EMBEDDINGS else call.response_bytes
    return estimated_tokens(prompt_characters(call.body)) + estimated_tokens(answered)


def prompt_characters(body: bytes | bytearray) -> int:
    """Length of a body without the files in it, if it is long. Looks for their beginnings and ends only."""
    size = len(body)
    if size < _SMALL_BYTES:
        return size
    for mark in _UNSPOKEN:
        at = body.find(mark)
        while at >= 0:
            begin = at + len(mark)
            end = body.find(b'"', begin)
            if end < 0:
                break
            size -= end - begin
            at = body.find(mark, end)
    return size
