# SPDX-License-Identifier: MIT
"""fio reads the file with its io_uring engine, 32 reads in flight in all: what the kernel can do.

A process a worker, half of its reads submitted and taken at a time, with file and buffers known to
the kernel beforehand, and without the clock readings for latencies: all that makes it faster. It
does not show the check of what was read: fio knows only its own patterns. It counts its errors and
must have read something.
"""

import argparse
import json
import os
import subprocess
import sys

DEPTH = 32
BLOCK_BYTES = 4096


def fio_command(args, ms):
    depth = DEPTH // args.workers
    batch = max(depth // 2, 1)
    return ["fio", "--output-format=json", "--name=read", "--rw=randread", "--ioengine=io_uring",
            f"--filename={os.environ['BENCH_FILE']}", f"--bs={BLOCK_BYTES}",
            f"--direct={int('BENCH_FILE_DIRECT' in os.environ)}",
            f"--iodepth={depth}", f"--iodepth_batch={batch}",
            f"--iodepth_batch_complete_max={batch}", "--registerfiles=1", "--fixedbufs=1",
            f"--numjobs={args.workers}",
            "--group_reporting", "--time_based", f"--runtime={ms}ms", "--norandommap",
            "--randrepeat=0", "--random_generator=tausworthe64", "--gtod_reduce=1",
            "--readonly", "--invalidate=0"]


def read_once(args):
    """A round: reads a second, and CPU seconds each."""
    done = subprocess.run(fio_command(args, args.size), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"file_read: fio: {done.stderr}{done.stdout}")
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    read = job["read"]
    if job["error"] or not read["total_ios"]:
        sys.exit("file_read: a round gave a wrong result")
    # Percentages of the time of all processes together, which group_reporting adds up.
    cpu_s = (job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] / 1e3
    return read["iops"], cpu_s / read["total_ios"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--implementation", default="fio", choices=["fio"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=300, help="milliseconds of a round")
    args = parser.parse_args()
    if DEPTH % args.workers:
        parser.error(f"--workers must divide {DEPTH}")
    if "BENCH_FILE" not in os.environ:
        parser.error("BENCH_FILE must name the file to read; tools/bench makes it")
    rounds = [read_once(args) for _ in range(args.rounds)]
    print(json.dumps({
        "workload": "file_read", "implementation": "fio", "unit": "ns", "workers": args.workers,
        "values": [round(1e9 / iops, 3) for iops, _ in rounds], "reads_per_s": rounds[-1][0],
        "cpu_us_each": round(rounds[-1][1] * 1e6, 3)}))


if __name__ == "__main__":
    main()
