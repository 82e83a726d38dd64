"""The server's log: one line for each event, as text or as JSON.

A line names the job and the client that it is about, if any. A thread writes the lines, so a pipe without a reader or a
full disk delays nothing. The log never contains keys, tokens or the content of files.
"""

from __future__ import annotations

import queue
import threading
import time
from datetime import UTC, datetime
from typing import Literal, TextIO

import msgspec

from backend.server.worker_protocol import clip

LogFormat = Literal["text", "json"]
Level = Literal["info", "warning", "error"]

MOST_WAITING = 10_000
"""Most lines in the queue."""
MOST_A_SECOND = 200
"""Most lines per second: a client that repeats a request without pause must not fill the disk."""
LONGEST = 500
"""Most characters of a value."""
CLOSE_PATIENCE = 2.0
"""Longest wait for the last lines at the end of the server, in seconds."""


class Log:
    """Writes lines to a stream, from any thread, until :meth:`close`.

    Args:
        stream: to write to; None writes nothing.
        format: "text", or "json" for one JSON object per line with at least the keys ``time`` (ISO 8601, UTC),
            ``level``, ``event``, ``job`` and ``client``; the last two may be null.
    """

    def __init__(self, stream: TextIO | None = None, format: LogFormat = "text") -> None:
        self._stream = stream
        self._pack = _as_json if format == "json" else _as_text
        self._waiting: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._second = 0
        self._said = self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        if stream is not None:
            self._thread.start()

    def say(
        self,
        event: str,
        *,
        level: Level = "info",
        job: str | None = None,
        client: str | None = None,
        **details: str | int | float,
    ) -> None:
        """Write a line.

        Args:
            event: what happened, one or two words joined by a hyphen.
            level: "warning" for problems that the server handles, "error" for others.
            job: the id of the job that the line is about.
            client: the name of the client that it is about.
            details: further keys.
        """
        if self._stream is None:
            return
        now = time.time()
        with self._lock:
            if self._second != int(now):
                left_out, self._second, self._said, self._left_out = self._left_out, int(now), 0, 0
                if left_out:
                    self._put(now, "warning", "lines-left-out", None, None, {"lines": left_out})
            self._said += 1
            if self._said > MOST_A_SECOND:
                self._left_out += 1
            else:
                self._put(now, level, event, job, client, details)

    def close(self) -> None:
        """Write the lines in the queue, for at most a few seconds."""
        if not self._thread.is_alive():
            return
        try:
            self._waiting.put(None, timeout=CLOSE_PATIENCE)
        except queue.Full:
            return
        self._thread.join(CLOSE_PATIENCE)

    def _put(
        self,
        now: float,
        level: Level,
        event: str,
        job: str | None,
        client: str | None,
        details: dict[str, str | int | float],
    ) -> None:
        line: dict[str, str | int | float | None] = {
            "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": event,
            "job": job,
            "client": client,
            **details,
        }
        for name, value in line.items():
            if isinstance(value, str):
                line[name] = clip(value, LONGEST)
        try:
            self._waiting.put_nowait(self._pack(line))
        except queue.Full:
            self._left_out += 1

    def _write(self) -> None:
        assert self._stream is not None
        while (line := self._waiting.get()) is not None:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):  # a full disk, a pipe without a reader, or a closed stream
                with self._lock:
                    self._left_out += 1


def _as_json(line: dict[str, str | int | float | None]) -> str:
    return msgspec.json.encode(line).decode()


def _as_text(line: dict[str, str | int | float | None]) -> str:
    about = {
        name: value for name, value in line.items() if name not in ("time", "level", "event") and value is not None
    }
    words = [str(line["time"]), f"{line['level']:7}", str(line["event"])]
    return " ".join([*words, *(f"{name}={_quoted(value)}" for name, value in about.items())])


def _quoted(value: str | int | float | None) -> str:
    text = str(value)
    return msgspec.json.encode(text).decode() if not text or any(c in text for c in ' "=') else text
