"""What became of one attempt at a vendor, as one kind of failure: what the client is shown, what the record says, whether another may do better."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from headgate import errors
from headgate.domain.request_record import Attempt
from headgate.domain.routing import EntityRoute
from headgate.gateway.call import Call
from headgate.gateway.vendors.vendor import Opened
from headgate.providers import failures
from headgate.providers.port import Credential, Target, VendorFailure
from headgate.upstream import port as upstream
from headgate.upstream.port import UpstreamFailed

ANSWERED = "answered"
REFUSED = "refused"
RATE_LIMITED = "rate_limited"
FAILED = "failed"
NO_KEY = "no_key"
NO_TOKEN = "no_token"
GIVEN_UP = "given_up"
"""Outcomes of attempts, for the metric; beside them the kinds of UpstreamFailed."""

ODD = (KeyError, IndexError, TypeError, AttributeError, ValueError)
"""What reading or rewriting a vendor's JSON may raise when something in it is of another kind than the vendor's API says."""
NO_COMPLETION = "The provider answered with something that is no completion."
_STATUS = {upstream.TIMEOUT: 504, upstream.FORBIDDEN: 400}


class Failed(Exception):
    """An attempt that gave no answer."""

    def __init__(
        self, failure: VendorFailure, status: int, outcome: str, error: errors.HeadgateError | None = None
    ) -> None:
        """`failure` shows no secret; `status`: the vendor's, 0 when none came; `error`: what it came from, if it was one."""
        super().__init__(failure.message)
        self.failure = failure
        self.status = status
        self.outcome = outcome
        self.error = error or failures.error(failure)
        """As the client is told."""

    def again(self) -> Failed:
        """The same for another request."""
        return Failed(self.failure, self.status, self.outcome)

    @property
    def counts(self) -> bool:
        """Whether it says that the vendor is not well. That our own queue is full, or a key is missing, says nothing of it."""
        return self.failure.retryable and self.outcome not in (upstream.BUSY, NO_KEY, NO_TOKEN, GIVEN_UP)


def refused(
    opened: Opened, target: Target, credential: Credential | None, answer: tuple[int, Mapping[bytes, bytes], bytes]
) -> Failed:
    """The vendor answered with another status than 200: (status, headers, body)."""
    status, headers, body = answer
    failure = opened.provider.failure(status, headers, body)
    return Failed(clean(failure, target, credential), status, outcome_of(failure))


def unreached(error: UpstreamFailed) -> Failed:
    """No complete answer came."""
    retry_after_s = 1.0 if error.kind == upstream.BUSY else None
    failure = VendorFailure(_STATUS.get(error.kind, 503), error.message, retry_after_s, True)
    return Failed(failure, 0, error.kind)


def garbage(message: str, target: Target) -> Failed:
    """What came is no answer."""
    failure = failures.without_secrets(VendorFailure(503, message, None, True), target)
    return Failed(failure, 502, upstream.GARBAGE)


def keyless(error: errors.HeadgateError, outcome: str = NO_KEY) -> Failed:
    """Its keys, or a token for them, cannot be had: nothing was sent. Another entity may do better."""
    return Failed(VendorFailure(error.http_status, error.message, None, True), 0, outcome, error)


def given_up(asked: bool) -> Failed:
    """The client left, or guardrails refused the request meanwhile. `asked`: the vendor had it already, which may cost something."""
    return Failed(VendorFailure(499, "Nobody waited for its answer any more."), 499 if asked else 0, GIVEN_UP)


def note_unable(call: Call, entity: EntityRoute, error: errors.HeadgateError) -> None:
    """It was to stand in for another one, and cannot do what is asked: nothing was sent."""
    attempt = Attempt(entity.id, entity.name, error.http_status, 0, error.message)
    call.attempts = (*call.attempts, attempt)


def broken(failure: VendorFailure, target: Target, credential: Credential | None) -> Failed:
    """Its stream ended before it was complete, or said that something failed."""
    return Failed(clean(failure, target, credential), failure.status, outcome_of(failure))


def clean(failure: VendorFailure, target: Target, credential: Credential | None) -> VendorFailure:
    """Without the secrets it was asked with, should the vendor quote them."""
    failure = failures.without_secrets(failure, target)
    if credential is None:
        return failure
    return dataclasses.replace(failure, message=failures.starred(failure.message, credential.value))


def outcome_of(failure: VendorFailure) -> str:
    """By what the client is shown."""
    if failure.status == 429:
        return RATE_LIMITED
    return FAILED if failure.retryable else REFUSED
