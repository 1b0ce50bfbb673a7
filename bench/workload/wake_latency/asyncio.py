# SPDX-License-Identifier: MIT
"""A task awaits a future; a plain thread rests, then has it set by call_soon_threadsafe. It does
not show threads that do not share the interpreter with the loop.
"""

import asyncio
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

REST_SECONDS = 300e-6
POLL_SECONDS = 20e-6


class Wake:
    def __init__(self, loop):
        self.loop = loop
        self.future = None
        self.begin = 0

    def run(self, size):
        """The thread."""
        for _ in range(size):
            while self.future is None:
                time.sleep(POLL_SECONDS)
            future, self.future = self.future, None
            time.sleep(REST_SECONDS)
            self.begin = time.monotonic_ns()
            self.loop.call_soon_threadsafe(future.set_result, True)


async def run_round(size):
    loop = asyncio.get_running_loop()
    wake = Wake(loop)
    thread = threading.Thread(target=wake.run, args=(size,))
    thread.start()
    total = 0
    for _ in range(size):
        future = loop.create_future()
        wake.future = future
        await future
        took = time.monotonic_ns() - wake.begin
        bench.bench.latencies.append(took)
        total += took
    thread.join()
    bench.bench.took_ns = total
    return size


if __name__ == "__main__":
    bench.run("wake_latency", run_round, 500)
