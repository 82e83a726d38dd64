"""The part of Ray's REST API that the server uses, over processes of this machine, for tests that need no cluster."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from backend.server import process_tree


class FakeRay:
    """A cluster of nodes with so many GPUs each.

    Attributes:
        places: how many jobs it runs at once; the others are pending.
        answers: whether it answers as Ray; otherwise with an error.
        token: which it wants, "" for none.
        jobs: by submission id, what was submitted, and the process.
        submissions: all that was submitted, in order.
    """

    def __init__(self, gpus: list[int], cpus: int = 4) -> None:
        self.nodes = gpus
        self.cpus = cpus
        self.places = sum(gpus) or len(gpus)
        self.answers = True
        self.token = ""
        self.jobs: dict[str, dict[str, Any]] = {}
        self.submissions: list[dict[str, Any]] = []
        self._lock = threading.RLock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake._answer(self, "GET")

            def do_POST(self) -> None:
                fake._answer(self, "POST")

            def log_message(self, format: str, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        for job in list(self.jobs):
            self.end(job)
        self._server.shutdown()
        self._server.server_close()

    def end(self, job: str, number: int = signal.SIGKILL) -> None:
        """Have the worker of a job ended as the system may do it."""
        process = self.jobs[job]["process"]
        if process is not None and process.poll() is None:
            process_tree._signal(process.pid, signal.Signals(number))
            process.wait()

    def vanish(self, job: str) -> None:
        """Forget a job and end its worker, as a head node does that starts anew."""
        self.end(job)
        with self._lock:
            del self.jobs[job]

    def _answer(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self._lock:
            status, answer = self._do(handler, method, body)
        data = json.dumps(answer).encode() if not isinstance(answer, str) else answer.encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _do(self, handler: BaseHTTPRequestHandler, method: str, body: bytes) -> tuple[int, Any]:
        if not self.answers:
            return 503, "upstream connect error"
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            return 401, "Unauthorized: Missing authentication token"
        path = handler.path.partition("?")[0].split("/")[1:]
        self._start_pending()
        if path == ["api", "v0", "nodes"]:
            totals = [{"CPU": float(self.cpus), **({"GPU": float(gpus)} if gpus else {})} for gpus in self.nodes]
            listed = [{"state": "ALIVE", "resources_total": each} for each in totals]
            listed.append({"state": "DEAD", "resources_total": {"CPU": 64.0, "GPU": 8.0}})
            return 200, {"result": True, "data": {"result": {"total": len(listed), "result": listed}}}
        job = path[2] if len(path) > 2 else ""
        if method == "POST" and not job:
            wanted = json.loads(body)
            if wanted["submission_id"] in self.jobs:
                return (
                    500,
                    f"Traceback\nValueError: Job with submission_id {wanted['submission_id']} already exists.\n.\n",
                )
            self.submissions.append(wanted)
            self.jobs[wanted["submission_id"]] = {"wanted": wanted, "process": None, "stopped": False}
            self._start_pending()
            return 200, {"submission_id": wanted["submission_id"]}
        if job not in self.jobs:
            return 404, f"Job {job} does not exist"
        if method == "POST":  # stop
            if self.jobs[job]["process"] is not None:
                self.jobs[job]["stopped"] = True
                self.end(job)
            return 200, {"stopped": True}
        process = self.jobs[job]["process"]
        status = self._status(job)
        return 200, {
            "type": "SUBMISSION",
            "submission_id": job,
            "status": status,
            "message": "It may be waiting for resources." if status == "PENDING" else "Job is what it is.",
            "metadata": self.jobs[job]["wanted"].get("metadata"),
            "driver_exit_code": process.poll() if status in ("FAILED", "SUCCEEDED") else None,
        }

    def _status(self, job: str) -> str:
        process = self.jobs[job]["process"]
        if process is None:
            return "PENDING"
        if process.poll() is None:
            return "RUNNING"
        if self.jobs[job]["stopped"]:
            return "STOPPED"
        return "SUCCEEDED" if process.poll() == 0 else "FAILED"

    def _start_pending(self) -> None:
        running = sum(self._status(job) == "RUNNING" for job in self.jobs)
        for job in self.jobs.values():
            if job["process"] is None and running < self.places:
                job["process"] = subprocess.Popen(job["wanted"]["entrypoint"], shell=True, start_new_session=True)
                running += 1
