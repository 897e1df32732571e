"""What a worker does with its model before it is READY: a first prediction, and the search for a fast path. Called by `serving`."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Callable, Dict, Optional, Tuple

from headgate_worker import loading, protocol
from headgate_worker.decoding import JSON
from headgate_worker.executing import Frame, Job
from headgate_worker.scoring import Scorer

_FIRST_LIMIT_S = 30.0
_PROOF_LIMIT_S = 10.0


async def rehearse(example: bytes, admit: Callable[[Job], None]) -> Tuple[int, str]:
    """Sends the model's own example the way of a request; status and body of the answer."""
    answered: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
    now = time.monotonic()
    admit(Job(_Audience(answered), (0, JSON, example, now, now + _FIRST_LIMIT_S)))
    meta, body = protocol.split_meta(b"".join(await answered)[protocol.HEADER.size :])
    return meta["status"], body.decode("utf-8", "replace")


async def prove(scorer: Scorer, example: Optional[bytes]) -> Tuple[str, float]:
    """Has the scorer look for its fast path, in a thread since it predicts; what was found, in words, and milliseconds it took."""
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    proven: asyncio.Future[str] = loop.create_future()

    def work() -> None:
        try:
            proof = scorer.prove(example)
            joins = "joined with others" if proof.joins else "one request at a time"
            said = f"{proof.way}, {joins}" + (f" ({proof.why})" if proof.why else "")
        except BaseException as error:  # of the model's libraries; requests take MLflow's own way
            said = loading.explain(error, "the search for a fast one failed")
        try:
            loop.call_soon_threadsafe(proven.set_result, said)
        except RuntimeError:
            pass  # the loop is closed

    threading.Thread(target=work, name="prove", daemon=True).start()
    done, _ = await asyncio.wait([proven], timeout=_PROOF_LIMIT_S)
    said = proven.result() if done else f"not known after {_PROOF_LIMIT_S:g} s; until it is, MLflow's own"
    return said, (time.perf_counter() - began) * 1000.0


class _Audience:
    """Stands in for a connection."""

    def __init__(self, answered: asyncio.Future[Frame]) -> None:
        self.jobs: Dict[int, Job] = {}
        self._answered = answered

    def send(self, frame: Frame, room: object = None) -> None:
        if not self._answered.done():
            self._answered.set_result(frame)
