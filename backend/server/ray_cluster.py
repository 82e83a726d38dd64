"""Requests to a Ray cluster: Ray Jobs' REST API and the list of nodes.

Ray's Python client is not used because it waits for answers without a time limit, and loads all of Ray into the server.
The API: https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from protocol.errors import BadArgument

TIMEOUT = 10.0
"""Longest wait for Ray, in seconds."""
_MOST = 64 << 20
"""Most bytes of an answer."""


class UnreachableError(Exception):
    """Ray does not answer, or its answer is invalid; the text is the end of a sentence."""


class RayJob(msgspec.Struct, frozen=True):
    """What Ray says of a job.

    Attributes:
        status: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.
        driver_exit_code: of the command, negative for a signal; None if Ray does not know it.
        message: Ray's explanation of the status.
        metadata: as it was submitted.
    """

    status: str
    driver_exit_code: int | None = None
    message: str | None = None
    metadata: dict[str, str] | None = None

    @property
    def ended(self) -> bool:
        return self.status not in ("PENDING", "RUNNING")


class Node(msgspec.Struct, frozen=True):
    """A live machine of the cluster, and its processors and GPUs, free or not."""

    cpus: int
    gpus: int


class RayCluster:
    """A cluster. Calls block until Ray has answered.

    Args:
        address: of Ray's dashboard, ``http://HOST:PORT``.
        token: of a cluster with token authentication, see :func:`token_of_user`; "" for one without.

    Raises:
        BadArgument: if the address is invalid.
    """

    def __init__(self, address: str, token: str = "") -> None:
        parts = urllib.parse.urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise BadArgument(
                f"The address {address!r} of the Ray cluster is not of the form http://HOST:PORT.",
                "Give the address of Ray's dashboard, usually http://HOST:8265.",
            )
        self.address = address.rstrip("/")
        self._token = token

    def submit(
        self, job: str, command: str, metadata: dict[str, str], *, gpus: int | None = None, cpus: int | None = None
    ) -> None:
        """Submit a command under the id ``job``; Ray refuses an id that it has already.

        Args:
            command: for a shell.
            metadata: kept with the job.
            gpus, cpus: reserved on one node for the command.

        Raises:
            UnreachableError: if Ray does not accept it.
        """
        wanted = {
            "submission_id": job,
            "entrypoint": command,
            "metadata": metadata,
            "entrypoint_num_gpus": gpus,
            "entrypoint_num_cpus": cpus,
        }
        self._request("POST", "/api/jobs/", {name: value for name, value in wanted.items() if value is not None})

    def job(self, job: str) -> RayJob | None:
        """Return what Ray says of a job, None if it has no job of this id.

        Raises:
            UnreachableError: if Ray does not answer.
        """
        return self._convert(self._request("GET", f"/api/jobs/{job}"), RayJob | None)

    def stop(self, job: str) -> None:
        """Make Ray end a job: it asks first, and kills after some seconds. A job that Ray does not know has ended.

        Raises:
            UnreachableError: if Ray does not answer.
        """
        self._request("POST", f"/api/jobs/{job}/stop", {})

    def nodes(self) -> list[Node]:
        """Return the live machines.

        Raises:
            UnreachableError: if Ray does not answer.
        """
        answer = self._convert(self._request("GET", "/api/v0/nodes?detail=true&limit=10000"), _Nodes)
        alive = [node.resources_total for node in answer.data.result.result if node.state == "ALIVE"]
        return [Node(int(each.get("CPU", 0)), int(each.get("GPU", 0))) for each in alive]

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return json.loads(answer.read(_MOST))
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                if error.code in (401, 403):
                    raise UnreachableError("it needs a token in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH") from error
                lines = [line for line in error.read(_MOST).decode(errors="replace").splitlines() if len(line) > 1]
                raise UnreachableError(f"it says {lines[-1][:300]!r}" if lines else f"status {error.code}") from error
        except urllib.error.URLError as error:
            reason = getattr(error.reason, "strerror", None) or str(error.reason)
            raise UnreachableError(f"it does not answer: {reason}") from error
        except (OSError, ValueError) as error:  # json's errors are ValueErrors
            raise UnreachableError(f"it does not answer: {error}") from error

    def _convert(self, answer: Any, kind: Any) -> Any:
        try:
            return msgspec.convert(answer, kind)
        except msgspec.ValidationError as error:
            raise UnreachableError(f"its answer cannot be read: {error}") from error


class _Listed(msgspec.Struct):
    state: str
    resources_total: dict[str, float] = {}


class _Result(msgspec.Struct):
    result: list[_Listed]


class _Data(msgspec.Struct):
    result: _Result


class _Nodes(msgspec.Struct):
    data: _Data


def token_of_user() -> str:
    """Return this user's token for Ray, found as Ray's own programs find it; "" if there is no token.

    See https://docs.ray.io/en/latest/ray-security/token-auth.html.
    """
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
