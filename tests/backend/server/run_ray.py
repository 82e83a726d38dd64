"""Runs a Ray cluster of one node, with GPUs that do not exist: run_ray CPUS GPUS. Ends with its standard input."""

import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_DISABLE_IMPORT_WARNING"] = "1"
import ray

if __name__ == "__main__":
    context = ray.init(
        address="local",
        num_cpus=int(sys.argv[1]),
        num_gpus=int(sys.argv[2]),
        object_store_memory=80 << 20,
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        dashboard_port=int(sys.argv[3]),
        log_to_driver=False,
    )
    print(f"http://{context.dashboard_url}", flush=True)
    sys.stdin.read()
    ray.shutdown()
