#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Question: what does echoing cost in Python, on asyncio's own loop and on uvloop?

A protocol, which is the fast way to write it: the loop calls data_received, which writes; streams
(await reader.read()) stand on top of that.

What it does not show: more than one core. An interpreter has one thread that runs Python; more of
them are more processes, and then nothing is shared.
"""

import argparse
import asyncio
import resource


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.write = transport.write

    def data_received(self, data):
        self.write(data)


async def serve(port):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", port, backlog=4096)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="(0: any free one, which is printed)")
    parser.add_argument("--workers", type=int, choices=[1], default=1, help="only 1")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    args = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if args.loop == "uvloop":
        import uvloop
        uvloop.install()
    asyncio.run(serve(args.port))


if __name__ == "__main__":
    main()
