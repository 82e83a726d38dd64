"""Counters of what a server has done since its start."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.messages import FINAL_STATES


@dataclass
class Counts:
    """Counters; each is changed by one thread only.

    Attributes:
        connections: sessions that were opened.
        refusals: requests that were answered with an error.
        worker_starts: workers that were started.
        worker_losses: workers that were killed or froze, or that a stopping server ended; their jobs continue.
        jobs_ended: number of ended jobs, by state.
        job_seconds: seconds from the start of the last worker to the end, summed over all jobs that are done.
        received_bytes, sent_bytes: of files.
    """

    connections: int = 0
    refusals: int = 0
    worker_starts: int = 0
    worker_losses: int = 0
    jobs_ended: dict[str, int] = field(default_factory=lambda: dict.fromkeys(sorted(FINAL_STATES), 0))
    job_seconds: float = 0.0
    received_bytes: int = 0
    sent_bytes: int = 0
