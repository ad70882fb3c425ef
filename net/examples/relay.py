"""Passes connections on after a delay each way, for links that are long.

    python relay.py 127.0.0.1:7070 10.77.0.1:7070 0.05
"""

import asyncio
import sys


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Passes on what comes, each piece `delay` seconds after it came: late, and no slower."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue(1024)

    async def send() -> None:
        while (item := await queue.get()) is not None:
            due, piece = item
            await asyncio.sleep(max(0.0, due - loop.time()))
            writer.write(piece)
            await writer.drain()
        writer.close()

    sending = asyncio.create_task(send())
    try:
        while piece := await reader.read(1 << 16):
            await queue.put((loop.time() + delay, piece))
    finally:
        await queue.put(None)
        await sending


async def main(listen: str, to: str, delay: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*to.rsplit(":", 1))
        except OSError:
            # Nobody is there (yet): whoever came is told so as it would be without a relay.
            writer.close()
            return
        both = pump(reader, far_writer, delay), pump(far_reader, writer, delay)
        await asyncio.gather(*both, return_exceptions=True)

    host, port = listen.rsplit(":", 1)
    async with await asyncio.start_server(connected, host, int(port)) as server:
        await server.serve_forever()


asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
