"""A small TCP proxy that makes a bad network: slow, in slices, cut in the middle, or cut between a request and its answer."""

import asyncio
import contextlib
import random
import struct
import threading
from dataclasses import dataclass
from socket import SO_LINGER, SOL_SOCKET
from types import TracebackType
from typing import Self

AT_ONCE = struct.pack("ii", 1, 0)  # linger for no time: what was not sent yet is dropped, and the other side hears of it


@dataclass
class Weather:
    """How the network is. May be changed at any time; counts from the next bytes on.

    latency: seconds before each portion. slice: bytes a portion. lose: the share of portions of answers at which the connection is
    reset instead, after what was asked has arrived: it may be done, and nobody hears of it. silent: nothing passes either way.
    shut: nobody new gets in.
    """

    latency: float = 0.0
    slice: int = 65536
    lose: float = 0.0
    silent: bool = False
    shut: bool = False


class Proxy:
    """Listens at 127.0.0.1:port and passes on to 127.0.0.1:target. Usable as a context manager; runs in a thread of its own."""

    def __init__(self, target: int, weather: Weather, seed: int = 0) -> None:
        self.port, self.weather, self.cuts = 0, weather, 0
        self._target, self._random = target, random.Random(seed)
        self._up, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._open: set[asyncio.Transport] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def cut(self) -> None:
        """Reset every open connection."""
        self._loop.call_soon_threadsafe(self._reset_all)

    def _reset_all(self) -> None:
        for transport in tuple(self._open):
            _reset(transport)
            self.cuts += 1

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._end.wait()
        server.close()
        self._reset_all()

    async def _pass_on(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        if self.weather.shut:
            _reset(back.transport)
            return
        try:
            server, on = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(back.transport)
            return
        both = [back.transport, on.transport]
        self._open |= set(both)
        try:
            await asyncio.gather(self._pump(client, on, both, answers=False), self._pump(server, back, both, answers=True))
        except asyncio.CancelledError:
            pass  # the proxy ends
        finally:
            for transport in both:
                _reset(transport)
            self._open -= set(both)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, both: list[asyncio.Transport], *, answers: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(self.weather.slice):
                await asyncio.sleep(self.weather.latency)
                while self.weather.silent:  # noqa: ASYNC110 - another thread changes the weather
                    await asyncio.sleep(0.05)
                if answers and self._random.random() < self.weather.lose:
                    self.cuts += 1
                    break
                sink.write(data)
                await sink.drain()
        for transport in both:
            _reset(transport)


def _reset(transport: asyncio.Transport) -> None:
    """End a connection as the network does: with a reset, which is an error to whoever waits for more, and not an orderly end."""
    socket = transport.get_extra_info("socket")
    if not transport.is_closing():
        socket.setsockopt(SOL_SOCKET, SO_LINGER, AT_ONCE)
        transport.abort()
