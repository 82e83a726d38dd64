"""Runs a server as a separate process: run_server [--encrypt | --simulated-words] BIND DATA WORKER..."""

import sys
from pathlib import Path

from backend.server.server import SEARCHER, serve

if __name__ == "__main__":
    encrypted, simulated = sys.argv[1] == "--encrypt", sys.argv[1] == "--simulated-words"
    bind, data, *worker = sys.argv[1 + (encrypted or simulated) :]
    searcher = (sys.executable, "-m", "tests.backend.server.simulated_words") if simulated else SEARCHER
    serve(bind, Path(data), encrypted=encrypted, worker_command=worker, searcher_command=searcher)
