"""Makes a record of each request that somebody wants to be kept, and lets its answer go once the spool has it. The adapter of `keeping.Keeper`.

Whatever ends a request, one record is made of it: `call.kept` says whether that is still to come.
"""

from __future__ import annotations

import orjson

from headgate import errors
from headgate.clock import Clock
from headgate.domain.request_record import RequestRecord
from headgate.gateway.call import Call, Reply, Whole
from headgate.gateway.keeping import Then
from headgate.gateway.records import making
from headgate.gateway.records.making import Outcome
from headgate.gateway.records.streams import KeptStream
from headgate.warehouse.spool.writing import Spool

_NOT_KEPT = frozenset((401, 403, 404))
"""Of whoever has no business with the endpoint."""


class Records:
    """One per server process. `spool` is started; it is stopped with this."""

    def __init__(self, spool: Spool, clock: Clock, payload_bytes: int) -> None:
        """Longer streams are not kept."""
        self._spool, self._clock, self._payload_bytes = spool, clock, payload_bytes
        self.now_s = clock.monotonic_s

    def wants(self, call: Call) -> bool:
        route = call.endpoint.gateway
        if route.inference_table is None and not route.usage_tracked:
            return False
        self._spool.check()
        call.received = call.body
        return True

    async def answered(self, call: Call, reply: Reply) -> Reply:
        if reply.length is None:
            call.streamed = True
            most_bytes = self._payload_bytes if making.keeps_bodies(call.endpoint.gateway) else 0
            reply.chunks = KeptStream(call, reply, self, most_bytes)
            return reply
        body = b"".join([chunk async for chunk in reply.chunks])
        reply.chunks = Whole(body)
        if not call.first_byte_s:
            call.first_byte_s = self.now_s()
        await self.write(call, Outcome(reply.status, body))
        return reply

    def answer(self, call: Call, status: int, body: bytes, then: Then) -> None:
        if not call.first_byte_s:
            call.first_byte_s = self.now_s()
        record, spool = self._record(call, Outcome(status, body)), self._spool
        call.kept = False
        spool.put(record, lambda done: then(spool.refusal(done)))

    async def refused(self, call: Call, error: errors.HeadgateError) -> None:
        if _is_nobodys(call, error.http_status):
            call.kept = False
        else:
            await self.write(call, Outcome(error.http_status, orjson.dumps(error.body())))

    def ended(self, call: Call) -> None:
        if _is_nobodys(call, call.status):
            call.kept = False
            return
        if call.status == errors.InternalError.http_status:
            call.error_code = call.error_code or errors.InternalError.error_code
        self.put(call, Outcome(call.status, None, complete=False))

    def close(self) -> None:
        self._spool.stop()

    async def write(self, call: Call, outcome: Outcome) -> None:
        """Returns once it is written, or dropped by the settings. Raises NotRecorded."""
        record = self._record(call, outcome)
        call.kept = False  # whatever happens while it is written: it is not made twice
        await self._spool.written(record)

    def put(self, call: Call, outcome: Outcome) -> None:
        """Does not wait."""
        record = self._record(call, outcome)
        call.kept = False
        self._spool.put(record)

    def _record(self, call: Call, outcome: Outcome) -> RequestRecord:
        return making.record(call, outcome, self.now_s() - call.arrived_s, self._clock.now_ms())


def _is_nobodys(call: Call, status: int) -> bool:
    """Whether it was refused before anything was asked on its behalf. A vendor's own 401, 403 or 404 is an answer that somebody pays for."""
    return status in _NOT_KEPT and not call.attempts
