# SPDX-License-Identifier: MIT
"""Plain threads have coroutines run by run_coroutine_threadsafe. It does not show threads that do
not share the interpreter with the loop: here they take turns with it.
"""

import asyncio
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

THREADS = 2
TRIPS = 200
REST_SECONDS = 200e-6

ran = 0


async def add_one():
    global ran
    ran += 1


def round_trips(loop):
    for _ in range(TRIPS):
        time.sleep(REST_SECONDS)
        begin = time.monotonic_ns()
        asyncio.run_coroutine_threadsafe(add_one(), loop).result()
        bench.bench.latencies.append(time.monotonic_ns() - begin)


def spawn_many(loop, size):
    for _ in range(size):
        asyncio.run_coroutine_threadsafe(add_one(), loop)


def run_round(size):
    global ran
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    round_trips(loop)
    ran = 0
    begin = time.monotonic_ns()
    spawners = [threading.Thread(target=spawn_many, args=(loop, size)) for _ in range(THREADS)]
    for spawner in spawners:
        spawner.start()
    for spawner in spawners:
        spawner.join()
    while ran < THREADS * size:
        time.sleep(0.001)
    bench.bench.took_ns = time.monotonic_ns() - begin
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    return THREADS * size


if __name__ == "__main__":
    bench.run("remote_spawn", run_round, 2000)
