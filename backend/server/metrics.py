"""HTTP for monitoring a server: ``/metrics`` in Prometheus' format, and ``/health``, which answers only up or down.

Neither needs a login, so both tell only the number of jobs and clients. The control socket cannot be used for health
checks: with encryption it answers only clients that have a key.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from backend.server.counts import Counts
from protocol.address import Address
from protocol.errors import BadArgument, Fault, Unavailable
from protocol.messages import Overview

if TYPE_CHECKING:
    from prometheus_client.core import Metric

LOOPBACK = "127.0.0.1"
PATIENCE = 5.0
"""Longest time of a request, in seconds."""
LOOK_PATIENCE = 4.0
"""Longest wait for the server's loop, in seconds."""
MOST_AT_ONCE = 16
"""Most connections at the same time; for a further one the oldest is closed."""
GIVES_WAY = 1.0
"""Longest wait until the oldest connection has ended, in seconds; then the new one is closed."""

Look = Callable[[Callable[[Overview | Fault], object]], object]
"""Calls its argument with an overview; may be called from any thread."""


def parse_metrics_address(text: str) -> Address:
    """Parse ``PORT``, which means a port of the loopback interface, or ``HOST:PORT``.

    Raises:
        BadArgument: if the text does not have that form.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or LOOPBACK
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise BadArgument(
            f"The metrics address {text!r} is not of the form PORT or HOST:PORT.", "Give a port like 9464."
        )
    return Address(host, int(port))


class MetricsServer:
    """Answers HTTP requests in separate threads, from construction to :meth:`close`.

    Args:
        address: to listen at; port 0 takes a free one.
        look: asks the server's loop for an overview.
        counts: the server's.
        alive: returns whether the server's loop runs; called from any thread.

    Attributes:
        address: at which it listens.

    Raises:
        Unavailable: if the library is missing, or the address cannot be used.
    """

    def __init__(self, address: Address, look: Look, counts: Counts, alive: Callable[[], bool]) -> None:
        try:
            from prometheus_client import CollectorRegistry
        except ImportError as error:
            raise Unavailable(
                "The package prometheus-client is not installed, so there are no metrics.",
                "Install it with: pip install 'splatlift[metrics]'.",
            ) from error
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(look, counts))
        try:
            self._server = _Server((address.host, address.port), partial(_Handler, registry, alive), address.is_v6)
        except OSError as error:
            raise Unavailable(
                f"Metrics cannot be served at {address.host}:{address.port}: {error.strerror}.",
                "Choose another port with --metrics.",
            ) from error
        self.address = address.at(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: Any, v6: bool) -> None:
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._open: dict[socket.socket, None] = {}
        self.address_family = socket.AF_INET6 if v6 else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # The base class looks up the host's name, which may take seconds.
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        if not self._places.acquire(blocking=False):
            with contextlib.suppress(StopIteration, RuntimeError):  # they all end just now
                _hang_up(next(iter(self._open)))
            if not self._places.acquire(timeout=GIVES_WAY):
                return False
        self._open[request] = None
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # The timeout of a socket restarts with every byte.
        end = threading.Timer(PATIENCE, _hang_up, [request])
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._open.pop(request, None)
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: a client that disconnects is not an error of the server."""


def _hang_up(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server_version = sys_version = ""

    def __init__(self, registry: Any, alive: Callable[[], bool], *others: Any) -> None:
        self._registry = registry
        self._alive = alive
        super().__init__(*others)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/health":
            up = self._alive()
            self._answer(200 if up else 503, b"up\n" if up else b"down\n")
        elif path == "/metrics":
            from prometheus_client.exposition import choose_encoder

            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            try:
                self._answer(200, encode(self._registry), kind)
            except (Fault, TimeoutError):
                self._answer(503, b"down\n")
        else:
            self._answer(404, b"Not found. This server has /health and /metrics.\n")

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:
        """Write nothing: the log is for jobs and clients."""


class _Collector:
    """Turns an overview and the counts into metrics at each request."""

    def __init__(self, look: Look, counts: Counts) -> None:
        self._look = look
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        asked: Future[Overview] = Future()

        def deliver(found: Overview | Fault) -> None:
            asked.set_exception(found) if isinstance(found, Fault) else asked.set_result(found)

        self._look(deliver)
        return iter([*_gauges(asked.result(LOOK_PATIENCE)), *_counters(self._counts)])


def _gauges(overview: Overview) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    jobs = GaugeMetricFamily("splatlift_jobs", "Jobs that have not ended.", labels=["state"])
    jobs.add_metric(["running"], overview.running)
    jobs.add_metric(["waiting"], overview.waiting)
    yield jobs
    for name, text, value in (
        ("start_time_seconds", "Start of the server, in seconds since 1970.", overview.since),
        ("sessions", "Connected clients.", overview.sessions),
        ("store_bytes", "Size of the stored files; at most a minute old.", overview.store_bytes),
        ("disk_free_bytes", "Free space on the disk of the store.", overview.free_bytes),
        ("disk_bytes", "Size of the disk of the store.", overview.disk_bytes),
        ("database_waits", "1 while changes of jobs cannot be written, else 0.", int(bool(overview.trouble))),
    ):
        yield GaugeMetricFamily(f"splatlift_{name}", text, value=value)
    if overview.places is not None:
        yield GaugeMetricFamily("splatlift_places", "Jobs that can run at once.", value=overview.places)


def _counters(counts: Counts) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    ended = CounterMetricFamily("splatlift_jobs_ended", "Jobs that ended since the start.", labels=["state"])
    for state, number in counts.jobs_ended.items():
        ended.add_metric([state], number)
    yield ended
    for name, text, value in (
        ("connections", "Sessions that were opened.", counts.connections),
        ("refusals", "Requests that were answered with an error.", counts.refusals),
        ("worker_starts", "Workers that were started.", counts.worker_starts),
        ("worker_losses", "Workers that ended before their jobs; the jobs continue.", counts.worker_losses),
        ("job_seconds", "Run time of the last worker of each finished job, summed, in seconds.", counts.job_seconds),
        ("received_bytes", "Bytes of files received.", counts.received_bytes),
        ("sent_bytes", "Bytes of files sent.", counts.sent_bytes),
    ):
        yield CounterMetricFamily(f"splatlift_{name}", text, value=value)
