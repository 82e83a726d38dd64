"""The requests to a Ray cluster that jobs need: Ray Jobs' REST API and its list of nodes.

The REST API (https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html) and not Ray's Python
client, because that waits for an answer without a limit, and loads all of Ray into the server.
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
"""Seconds for which Ray may keep quiet."""
_MOST = 64 << 20
"""Bytes of an answer."""


class UnreachableError(Exception):
    """Ray does not answer, or not as it should; the text says how, as the end of a sentence."""


class RayJob(msgspec.Struct, frozen=True):
    """What Ray says of a job.

    Attributes:
        status: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.
        driver_exit_code: of the command, negative for a signal; None where Ray does not know.
        message: what Ray adds.
        metadata: what was submitted with it.
    """

    status: str
    driver_exit_code: int | None = None
    message: str | None = None
    metadata: dict[str, str] | None = None

    @property
    def ended(self) -> bool:
        return self.status not in ("PENDING", "RUNNING")


class Node(msgspec.Struct, frozen=True):
    """A machine of the cluster that lives, and what it has in all."""

    cpus: int
    gpus: int


class RayCluster:
    """A cluster. Each call waits for its answer.

    Args:
        address: of Ray's dashboard, ``http://HOST:PORT``.
        token: of a cluster with token authentication, see :func:`token_of_user`; "" for one without.

    Raises:
        BadArgument: if the address is none.
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
        """Submit a command under the id ``job``; an id that Ray has already is refused.

        Args:
            command: for a shell.
            metadata: kept with the job.
            gpus, cpus: reserved on one node for the command.

        Raises:
            UnreachableError: if Ray does not take it.
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
        """Return what Ray says of a job, None where it has none of this id.

        Raises:
            UnreachableError: if Ray does not answer.
        """
        return self._convert(self._request("GET", f"/api/jobs/{job}"), RayJob | None)

    def stop(self, job: str) -> None:
        """Have a job ended: asked, and killed some seconds later. One that Ray does not know has ended.

        Raises:
            UnreachableError: if Ray does not answer.
        """
        self._request("POST", f"/api/jobs/{job}/stop", {})

    def nodes(self) -> list[Node]:
        """Return the machines that live.

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
                    raise UnreachableError("it wants a token, by RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH") from error
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
    """Return the token with which this user reaches Ray, where Ray's own programs find it too; "" where there is none.

    See https://docs.ray.io/en/latest/ray-security/token-auth.html.
    """
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
