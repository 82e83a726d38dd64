"""A model hub on this machine, of the few answers that fetching a model needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves the files of one folder as the model ``owner/tiny``; the model ``owner/gated`` only to those who ask."""

    def __init__(self, folder: Path, licence: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.licence = folder, licence
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    @property
    def _hub(self) -> Hub:
        assert isinstance(self.server, Hub)
        return self.server

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        path = urlsplit(self.path).path
        self._hub.asked.append(f"{self.command} {path}")
        files = {file.name: file for file in sorted(self._hub.folder.iterdir()) if file.is_file()}
        if path == "/api/models/owner/tiny":
            siblings = [{"rfilename": name, "size": file.stat().st_size} for name, file in files.items()]
            card = {"license": self._hub.licence}
            about = {"id": "owner/tiny", "sha": COMMIT, "siblings": siblings, "cardData": card, "tags": []}
            self._send(200, json.dumps(about).encode(), {"Content-Type": "application/json"}, body)
        elif path.startswith("/owner/tiny/resolve/") and path.rpartition("/")[2] in files:
            content = files[path.rpartition("/")[2]].read_bytes()
            etag = hashlib.sha256(content).hexdigest()
            self._send(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'}, body)
        else:
            code = "GatedRepo" if "/owner/gated" in path else "RepoNotFound"
            self._send(401 if code == "GatedRepo" else 404, b"", {"X-Error-Code": code}, body)

    def _send(self, status: int, content: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


@contextmanager
def running_hub(folder: Path, licence: str = "mit") -> Iterator[Hub]:
    """Give a hub that serves while the block runs."""
    hub = Hub(folder, licence)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
