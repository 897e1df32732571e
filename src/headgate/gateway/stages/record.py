"""Fourth step: from here on the recorder gets every request once it is finished, whatever became of it.

A streamed answer is finished when its last chunk is sent or its client has left. The one place that logs a request (at debug).
"""

from __future__ import annotations

import logging
from typing import Protocol

from headgate.gateway.call import Call
from headgate.gateway.keeping import Keeper
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

logger = logging.getLogger(__name__)


class Recorder(Protocol):
    """Where finished requests go. Must be quick and must not raise."""

    def record(self, finished: Call) -> None: ...


class CountingRecorder:
    """Counts into the metrics."""

    def __init__(self, counted: Metrics) -> None:
        self._counted = counted

    def record(self, finished: Call) -> None:
        deployment = finished.deployment
        if deployment is None:
            self._external(finished)
            return
        deployment.series.finished(finished.status, finished.total_ms, finished.queue_ms, finished.execute_ms)

    def _external(self, finished: Call) -> None:
        """One that no replica had: for a vendor, or refused before it was known for whom."""
        counted, names = self._counted, (finished.endpoint.name, finished.entity.name)
        counted.number(metrics.REQUESTS, *names, str(finished.status)).add()
        if finished.entity.external is None:
            return
        counted.histogram(metrics.REQUEST_SECONDS, *names).observe(finished.total_ms)
        if finished.first_byte_s:
            first_byte_ms = (finished.first_byte_s - finished.arrived_s) * 1000.0
            counted.histogram(metrics.FIRST_BYTE_SECONDS, *names).observe(first_byte_ms)
        usage = finished.usage
        if usage is not None:
            counted.number(metrics.TOKENS, *names, "prompt").add(usage.prompt_tokens)
            counted.number(metrics.TOKENS, *names, "cached").add(usage.cached_tokens)
            counted.number(metrics.TOKENS, *names, "completion").add(usage.completion_tokens)
            counted.number(metrics.TOKENS, *names, "reasoning").add(usage.reasoning_tokens)


class Record:
    """See the module."""

    def __init__(self, recorder: Recorder, keeper: Keeper) -> None:
        self._record = recorder.record
        self._keeper = keeper

    def __call__(self, call: Call) -> None:
        """Entering it is nearly all: `ended` is called for every request that did."""
        call.kept = self._keeper.wants(call)

    def ended(self, call: Call) -> None:
        if call.kept:
            self._keeper.ended(call)
        self._record(call)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s %s %d %s", call.head.method, call.head.path, call.status, call.request_id)
