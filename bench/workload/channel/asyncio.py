# SPDX-License-Identifier: MIT
"""Four tasks put into a queue with room for 128, four take out. It does not show put_nowait."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

SIDES = 4
CAPACITY = 128


async def send(queue, size):
    for n in range(1, size + 1):
        await queue.put(n)


async def receive(queue, size):
    total = 0
    for _ in range(size):
        total += await queue.get()
    return total


async def run_round(size):
    queue = asyncio.Queue(CAPACITY)
    receivers = [asyncio.create_task(receive(queue, size)) for _ in range(SIDES)]
    senders = [asyncio.create_task(send(queue, size)) for _ in range(SIDES)]
    for sender in senders:
        await sender
    total = sum([await receiver for receiver in receivers])
    return SIDES * size if total == SIDES * size * (size + 1) // 2 else 0


if __name__ == "__main__":
    bench.run("channel", run_round, 10000)
