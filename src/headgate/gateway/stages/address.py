"""Third step: which endpoint is meant, where the path does not say so but the body's `model` does.

After `authenticate`, so that only somebody known has a body looked at.
"""

from __future__ import annotations

import dataclasses

from headgate import errors
from headgate.gateway.call import INVOCATIONS, Call
from headgate.wire import chat


class Address:
    """`call.head.endpoint_name` is set from here on; `call.asked` where the body had to be looked at for it."""

    def __init__(self, payload_bytes: int) -> None:
        self._payload_bytes = payload_bytes

    def __call__(self, call: Call) -> None:
        """Raises BadRequest for a body that is too long, MalformedRequest, InvalidParameterValue."""
        if call.head.endpoint_name or call.head.api == INVOCATIONS:
            return
        if (
            call.body_bytes > self._payload_bytes
        ):  # and was not kept; `limit` refuses it where the path names the endpoint
            raise errors.BadRequest(
                f"The request body is larger than the limit of {self._payload_bytes} bytes. Send less per request."
            )
        body = call.body = bytes(call.body)
        call.asked = asked = chat.read_head(body)
        if not asked.model:
            raise errors.InvalidParameterValue("The request names no endpoint: give its name as 'model'.")
        call.head = dataclasses.replace(call.head, endpoint_name=asked.model)
