"""What is asked for: which task a client's API means on the kind of endpoint that was found, and in which dialect it speaks.

Only requests to external models, and to models of our own by other routes than `invocations`, are looked at.
"""

from __future__ import annotations

from headgate.gateway.call import Call
from headgate.wire import chat


class Parse:
    """`call.asked` and `call.task` of a request to an external model are set from here on."""

    def __call__(self, call: Call) -> None:
        task = call.endpoint.gateway.task
        if task is None:
            return
        if call.asked is None:
            call.asked = chat.read_head(bytes(call.body))
        call.task = task
