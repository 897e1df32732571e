"""What a worker says of itself when it is asked (PONG). Called by `serving`."""

from __future__ import annotations

from typing import Collection, Dict

from headgate_worker.executing import Job


def counts(unfinished: Collection[Job], now: float) -> Dict[str, int]:
    """`executing` requests; `queued` ones that somebody waits for; `stuck`: threads that execute only requests whose deadline (`time.monotonic`) has passed."""
    executing = [job for job in unfinished if job.thread is not None or job.batch is not None]
    in_time = {job.batch or job for job in executing if job.deadline > now}
    all_of_them = {job.batch or job for job in executing}
    return {
        "executing": len(executing),
        "queued": sum(job.is_open and job.thread is None and job.batch is None for job in unfinished),
        "stuck": len(all_of_them - in_time),
    }
