"""``backend status``: asks a server what it does, or reads the jobs of one that does not run."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from backend.server import contact, keys
from backend.server.ask import ask
from backend.server.jobs import LAYOUT
from protocol import address as addresses
from protocol.errors import NotFound, Unavailable, readable
from protocol.messages import Overview, Survey
from protocol.pairing import Pairing

FEATURE = "overview"
_MOST_JOBS = 50


def of_folder(data: Path) -> dict[str, Any]:
    """Return the status of the server on a data folder, or of the folder if no server runs.

    Returns:
        The fields of :class:`protocol.messages.Overview`, ``running_server`` and ``address``. Without a server only
        ``running_server``, ``running``, ``waiting``, ``jobs`` (all that have not ended) and the sizes of the disk.

    Raises:
        NotFound: if no server has used the folder.
        Unavailable: if a server runs and does not answer, or the table of jobs cannot be read.
    """
    if not (data / "jobs.sqlite").is_file():
        raise NotFound(f"No server has used the folder {data}.", "Give the folder of backend serve --data.")
    found = contact.find(data)
    if found is None:
        return _at_rest(data)
    known = keys.load(data) if found.encrypts else None
    where = addresses.parse(_reachable(found.address))
    pairing = known.pairing if known is not None else None
    return _as_dict(ask(where, pairing, FEATURE, Survey(found.token), Overview, found.token), str(where))


def of_server(address: str, pairing: Pairing | None) -> dict[str, Any]:
    """Return the status of a server that its clients may see; see :func:`of_folder`.

    Raises:
        BadArgument: if ``address`` is invalid.
        Unavailable: if no server answers.
    """
    where = addresses.parse(address)
    return _as_dict(ask(where, pairing, FEATURE, Survey(), Overview), str(where))


def as_lines(status: dict[str, Any]) -> list[str]:
    """Return a status as lines of text."""
    lines = []
    if status["running_server"]:
        since = datetime.fromtimestamp(status["since"]).astimezone()
        lines.append(f"{status['server']} at {status['address']}, since {since:%Y-%m-%d %H:%M:%S} ({_ago(status)})")
        places = "not known yet" if status["places"] is None else status["places"]
        lines.append(f"workers: {status['executor']}, jobs at once: {places}")
        names = f": {', '.join(status['clients'])}" if status["clients"] else ""
        lines.append(f"clients: {status['sessions']}{names}")
    else:
        lines.append("No server runs on this folder.")
    store = f"{_gb(status['store_bytes'])} stored, " if "store_bytes" in status else ""
    lines.append(f"disk: {store}{_gb(status['free_bytes'])} of {_gb(status['disk_bytes'])} free")
    if status.get("trouble"):
        lines.append(f"The server waits to write its jobs: {status['trouble']}")
    lines.append(f"jobs: {status['running']} running, {status['waiting']} waiting")
    lines += [_job_line(job) for job in status["jobs"]]
    left = status["running"] + status["waiting"] - len(status["jobs"])
    if left > 0:
        lines.append(f"  and {left} more")
    return [readable(line) for line in lines]


def _job_line(job: dict[str, Any]) -> str:
    where = f" {job['stage']} {job['fraction']:.0%}" if job["stage"] else ""
    client = f", from {job['client']}" if job["client"] else ""
    note = f": {job['note']}" if job["note"] else ""
    created = datetime.fromtimestamp(job["created"]).astimezone()
    title = job["title"] or "without a title"
    return f"  {job['job']} {job['state']}{where}, {title}{client}, submitted {created:%Y-%m-%d %H:%M:%S}{note}"


def _as_dict(overview: Overview, address: str) -> dict[str, Any]:
    found = msgspec.to_builtins(overview)
    del found["type"]
    return {"running_server": True, "address": address, **found}


def _reachable(address: str) -> str:
    """Return the address by which this machine reaches a server that may listen at all of its addresses."""
    return address.replace("tcp://0.0.0.0:", "tcp://127.0.0.1:").replace("tcp://[::]:", "tcp://[::1]:")


def _at_rest(data: Path) -> dict[str, Any]:
    """Read the table of jobs without changing it."""
    database = data / "jobs.sqlite"
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as db:
            layout = db.execute("PRAGMA user_version").fetchone()[0]
            if layout > LAYOUT:
                raise Unavailable(
                    f"The jobs in {database} have format {layout}; this backend reads format {LAYOUT}.",
                    "Update the backend.",
                )
            left = "FROM jobs WHERE state IN ('queued', 'running', 'cancelling')"
            waiting = db.execute(f"SELECT count(*) {left}").fetchone()[0]
            rows = db.execute(
                f"SELECT id, title, state, stage, fraction, note, created {left} ORDER BY number LIMIT ?", (_MOST_JOBS,)
            ).fetchall()
    except sqlite3.Error as error:
        raise Unavailable(f"The jobs in {database} cannot be read: {error}.", f"Run backend check {data}.") from error
    names = ("job", "title", "state", "stage", "fraction", "note", "created")
    disk = shutil.disk_usage(data)
    return {
        "running_server": False,
        "running": 0,
        "waiting": waiting,
        "jobs": [{**dict(zip(names, row, strict=True)), "client": ""} for row in rows],
        "free_bytes": disk.free,
        "disk_bytes": disk.total,
    }


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def _ago(status: dict[str, Any]) -> str:
    seconds = max(0, round(time.time() - status["since"]))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    return f"{days} days {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min"
