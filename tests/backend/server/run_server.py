"""Runs a server as a separate process: run_server [--encrypt] BIND DATA WORKER..."""

import sys
from pathlib import Path

from backend.server.server import serve

if __name__ == "__main__":
    encrypted = sys.argv[1] == "--encrypt"
    bind, data, *worker = sys.argv[1 + encrypted :]
    serve(bind, Path(data), encrypted=encrypted, worker_command=worker)
