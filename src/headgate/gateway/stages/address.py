"""Third step: which endpoint is meant, where the path does not say so but the body's `model` does.

After `authenticate`, so that only somebody known has a body looked at.
"""

from __future__ import annotations

import dataclasses

from headgate import errors
from headgate.gateway.call import Call
from headgate.wire import chat


class Address:
    """`call.head.endpoint_name` is set from here on."""

    def __call__(self, call: Call) -> None:
        if call.head.endpoint_name:
            return
        call.asked = asked = chat.read_head(bytes(call.body))
        if not asked.model:
            raise errors.InvalidParameterValue("The request names no endpoint: give its name as 'model'.")
        call.head = dataclasses.replace(call.head, endpoint_name=asked.model)
