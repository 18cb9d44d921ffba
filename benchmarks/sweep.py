"""The overhead of a sweep, and whether two hundred jobs slow down or leak memory.

python benchmarks/sweep.py [--jobs 12] [--many 200]

The same runs in three ways: as a sweep; one after the other in one process; as separate commands. The first two are timed in the
same process after a run that pays for imports and data, in alternating order. Then one sweep of many jobs of a few steps: seconds
per job and resident memory over time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
RUN = ["trainer.max_epochs=6", "callbacks=minimal", "hydra.sweeper.report=false"]
TINY = ["model.hidden=[32]", "trainer.max_epochs=1", "trainer.limit_train_batches=4", "callbacks=minimal", "logger=none"]


def train(*arguments: str) -> float:
    """Runs `python train.py <arguments>` in this process; returns the seconds that it took."""
    from vae_lightning.cli.train import main

    sys.argv = ["train.py", *arguments]
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main()
    return time.perf_counter() - start


def as_sweep(jobs: int) -> float:
    return train("-m", *RUN, f"seed=range({jobs})")


def by_hand(jobs: int) -> float:
    return sum(train(*RUN, f"seed={seed}") for seed in range(jobs))


def as_commands(jobs: int) -> float:
    start = time.perf_counter()
    for seed in range(jobs):
        command = [sys.executable, str(REPOSITORY / "train.py"), *RUN, f"seed={seed}"]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    return time.perf_counter() - start


def overhead(jobs: int, repetitions: int) -> None:
    train(*RUN, "trainer.max_epochs=1")
    swept: list[float] = []
    hand: list[float] = []
    for i in range(repetitions):
        for ways in ((as_sweep, swept), (by_hand, hand))[:: 1 if i % 2 == 0 else -1]:
            ways[1].append(ways[0](jobs))
    a, b = statistics.median(swept), statistics.median(hand)
    print(f"{jobs} runs of 6 epochs: as a sweep {a:.1f} s, one after the other in one process {b:.1f} s ({a / b - 1:+.1%})")
    few = max(1, jobs // 4)
    print(f"as separate commands: {as_commands(few) / few * jobs:.1f} s (measured on {few})")


def many_jobs(jobs: int) -> None:
    folder = Path("many").absolute()
    code = (
        "import sys, threading, time; sys.path.insert(0, {root!r})\n"
        "from vae_lightning.cli.train import main\n"
        "def watch():\n"
        "    while True:\n"
        "        rss = int(open('/proc/self/statm').read().split()[1]) * 4096 / 2**20\n"
        "        open('memory.txt', 'a').write(f'{{time.time()}} {{rss:.1f}} {{time.process_time()}}\\n'); time.sleep(0.2)\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
        "sys.argv = ['train.py', *{arguments!r}]\nmain()\n"
    )
    arguments = ["-m", *TINY, f"seed=range({jobs})", f"hydra.sweep.dir={folder}", "hydra.sweeper.report=false"]
    subprocess.run(
        [sys.executable, "-c", code.format(root=str(REPOSITORY), arguments=arguments)], check=True, capture_output=True
    )
    ends = sorted(path.stat().st_mtime for path in (folder / "jobs").glob("*.json"))
    seconds = [json.loads(path.read_text())["seconds"] for path in sorted((folder / "jobs").glob("*.json"))]
    memory = [tuple(map(float, line.split())) for line in Path("memory.txt").read_text().splitlines()]
    quarter = jobs // 4
    for first in range(0, jobs, quarter):
        last = min(jobs, first + quarter) - 1
        pace = (ends[last] - ends[max(first, 1)]) / max(1, last - max(first, 1))
        mebibytes = max(rss for at, rss, _ in memory if at <= ends[last] + 0.5)
        begun, ended = (max(cpu for at, _, cpu in memory if at <= ends[job] + 0.2) for job in (max(first, 1), last))
        work = (ended - begun) / max(1, last - max(first, 1))
        own = statistics.median(seconds[max(first, 1) : last + 1])
        times = f"{pace:.2f} s per job ({own:.2f} s of it in the job, {work:.2f} s of processor time)"
        print(f"jobs {first:3d} to {last:3d}: {times}, {mebibytes:.0f} MiB resident")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--many", type=int, default=200)
    given = parser.parse_args()
    sys.path.insert(0, str(REPOSITORY))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if given.jobs:
            overhead(given.jobs, given.repetitions)
        if given.many:
            many_jobs(given.many)


if __name__ == "__main__":
    main()
