"""A server as a process of its own: run_server BIND DATA WORKER..."""

import sys
from pathlib import Path

from backend.server.server import serve

if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), worker_command=sys.argv[3:])
