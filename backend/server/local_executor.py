"""Workers as processes of this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from backend.server.capabilities import OLD, CapabilityProbe, Found
from backend.server.worker_process import WorkerProcess
from protocol.errors import Unavailable
from protocol.messages import Error


class LocalExecutor:
    """See :class:`backend.server.executor.Executor`.

    Args:
        command: the worker's program and first arguments.
        capabilities: finds the GPUs.
    """

    name = "local processes"
    outlives = False
    only_cpus = False

    def __init__(self, command: Sequence[str], capabilities: CapabilityProbe) -> None:
        self._command = list(command)
        self._capabilities = capabilities
        self._looked_at = -OLD

    @property
    def gpus(self) -> Sequence[str] | None:
        known = self._capabilities.known
        return None if known is None else known.gpus

    def look_for_gpus(self) -> None:
        """Start the probe. It loads torch, so this is called only if a job waits; a failed probe is repeated later."""
        now = time.monotonic()
        if self.gpus is None and now - self._looked_at >= OLD:
            self._looked_at = now
            try:
                self._capabilities.ask(_nothing)
            except Unavailable:
                return  # jobs then run one after another

    def missing(self) -> str | None:
        return None

    def start(self, job: str, folder: Path, gpus: Sequence[str]) -> WorkerProcess:
        return WorkerProcess.start(self._command, folder, gpus)

    def find(self, job: str, folder: Path) -> WorkerProcess | None:
        return WorkerProcess.find(folder)

    def close(self) -> None:
        """Do nothing."""


def _nothing(_: Found | Error) -> None:
    pass
