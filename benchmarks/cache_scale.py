"""A large GT cache in training: how long until the first batch, and what each worker adds to the memory.

The samples of a cache are repeated under new names until there are as many as asked for. A fresh process
opens the cache as a data set, starts workers on it (without reading images) and takes batches. Memory is what
the cache adds to that process, and what is a worker's own: pages that it shares with no other. Linux, from
the repository's root::

    python benchmarks/cache_scale.py --cache data/synthetic/gt_cache/gt_cache_v1.0-trainval_train.pkl
    python benchmarks/cache_scale.py --cache CACHE_TRAIN.pkl --samples 2000 --workers 0 2
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import tempfile
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from common import finish, parser, show_table

from mapllava import gt_cache
from mapllava.cli.exit_status import exit_status
from mapllava.errors import MapLLaVAError

OPEN = """
import json, sys, time
from torch.utils.data import DataLoader
from mapllava.datasets import MapDataset
from mapllava.structures import MapSpec
path, workers = sys.argv[1], int(sys.argv[2])
spec = MapSpec.from_config(json.loads(sys.argv[3]))
imported = time.perf_counter()

def own(pid):
    lines = open(f"/proc/{pid}/smaps_rollup").read().splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024

before = own("self")
dataset = MapDataset(path, spec, "")
opened, added = time.perf_counter(), own("self")
batches = iter(DataLoader(dataset, 8, shuffle=True, num_workers=workers, collate_fn=list))
next(batches)
first = time.perf_counter()
for _ in range(min(100, len(batches) - 1)):
    next(batches)
pids = [worker.pid for worker in getattr(batches, "_workers", [])]
print(json.dumps({
    "open_seconds": opened - imported,
    "first_batch_seconds": first - opened,
    "added_mib": added - before,
    "private_mib_per_worker": max(map(own, pids), default=None),
}))
"""


def parse_args() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__)
    made.add_argument("--cache", type=Path, required=True, help="whose samples are repeated")
    made.add_argument(
        "--samples", type=int, nargs="+", default=[5000, 28130], help="sizes (default: 5000 28130)"
    )
    made.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4], help="(default: 0 1 2 4)")
    return made.parse_args()


def enlarge(cache: dict[str, Any], samples: int, path: Path) -> None:
    """Write a cache with so many samples: those of a smaller one again and again, as arrays of their own."""
    turns = chain.from_iterable(((turn, entry) for entry in cache["data_list"]) for turn in count())
    entries = [
        {**copy.deepcopy(entry), "sample_token": f"{entry['sample_token']}-{turn}"}
        for turn, entry in islice(turns, samples)
    ]
    metainfo = {**cache["metainfo"], "num_samples": samples}
    gt_cache.save(path, {"metainfo": metainfo, "data_list": entries})


def measure(path: Path, workers: int, spec: str) -> dict[str, float]:
    """Figures of one fresh process."""
    command = [sys.executable, "-c", OPEN, str(path), str(workers), spec]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MapLLaVAError(f"a process with {workers} workers ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print, and write the result if asked."""
    args = parse_args()
    cache = gt_cache.load(args.cache)
    if not cache["data_list"]:
        raise MapLLaVAError(f"{args.cache} holds no sample to repeat")
    spec = json.dumps({key: cache["metainfo"][key] for key in ("frame", "roi", "classes")})
    rows, result = [], []
    with tempfile.TemporaryDirectory() as folder:
        for samples in args.samples:
            path = Path(folder) / args.cache.name
            enlarge(cache, samples, path)
            for workers in args.workers:
                found = measure(path, workers, spec)
                size = path.stat().st_size / 1e6
                result.append({"samples": samples, "megabytes": size, "workers": workers, **found})
                private = found["private_mib_per_worker"]
                rows.append(
                    [
                        f"{samples:,} ({size:.0f} MB)",
                        workers,
                        f"{found['open_seconds']:.1f}",
                        f"{found['first_batch_seconds']:.1f}",
                        f"{found['added_mib']:.0f}",
                        "" if private is None else f"{private:.0f}",
                    ]
                )
    columns = ["samples", "workers", "open, s", "first batch, s", "MiB added", "MiB, a worker's own"]
    show_table("A GT cache in training", columns, rows)
    finish(args.out, {"runs": result}, "torch", "mmengine", "numpy")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
