"""Runs a Ray cluster of one node, with GPUs that do not exist: run_ray CPUS GPUS PORT. Ends with its standard input."""

import os
import sys
import tempfile

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray  # pyright: ignore[reportMissingImports]  # an extra

if __name__ == "__main__":
    # The path of a socket in it must be short.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        context = ray.init(
            address="local",
            num_cpus=int(sys.argv[1]),
            num_gpus=int(sys.argv[2]),
            object_store_memory=80 << 20,
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            dashboard_port=int(sys.argv[3]),
            log_to_driver=False,
            _temp_dir=folder,
        )
        print(f"http://{context.dashboard_url}", flush=True)
        sys.stdin.read()
        ray.shutdown()
