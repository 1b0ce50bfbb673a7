# SPDX-License-Identifier: MIT
"""Timers by call_later, cancelled again, beside 10,000 that stand. It does not show
asyncio.timeout.
"""

import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

STANDING = 10000
BATCH = 1000
STEP = 2654435761


def seconds(n):
    return 1 + n * STEP % 10_000_000_000 / 1e9


def never():
    pass


async def run_round(batches):
    loop = asyncio.get_running_loop()
    standing = [loop.call_later(60 * seconds(n), never) for n in range(STANDING)]
    begin = time.monotonic_ns()
    for batch in range(batches):
        timers = [loop.call_later(seconds(batch * BATCH + n), never) for n in range(BATCH)]
        for timer in timers:
            timer.cancel()
        await asyncio.sleep(0)
    bench.bench.took_ns = time.monotonic_ns() - begin
    cancelled = sum(timer.cancelled() for timer in timers)
    for timer in standing:
        timer.cancel()
    return batches * BATCH if cancelled == BATCH else 0


if __name__ == "__main__":
    bench.run("timer_arm_cancel", run_round, 20)
