"""Endpoints: TCP proxies on loopback addresses of their own, served by one event loop in a thread of its own.

A proxy passes bytes and reads none, so TLS is between the client and PostgreSQL. What AWS does by DNS the proxy does by where it
connects to: a client that resolves the name anew is one that connects anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import threading
from collections.abc import Callable, Sequence
from typing import cast

# Blocks of 32 addresses below 127.16.0.0/12: the writer's, the readers', and sixteen instances' and more.
BLOCK = 32
_BLOCKS = range(0, 1 << 15)
_BACKLOG = 1024
_CONNECT_S = 3.0


def block_addresses(number: int) -> list[str]:
    """The addresses of a block, without those that end in 0 or 255 and would look like a network's."""
    first = (16 << 16) + number * BLOCK
    return [
        f"127.{value >> 16}.{value >> 8 & 255}.{value & 255}"
        for value in range(first, first + BLOCK)
        if value & 255 not in (0, 255)
    ]


def reserve(port: int) -> tuple[list[str], list[socket.socket]]:
    """A block that nobody uses, and listening sockets on its first two addresses.

    They have ``port`` where it is free on both, else a port that is. Raises OSError when no block can be had.
    """
    for attempt in range(40):
        addresses = block_addresses(random.choice(_BLOCKS))
        wanted = port if attempt < 30 else 0
        made: list[socket.socket] = []
        try:
            for address in addresses[:2]:
                made.append(listen(address, made[0].getsockname()[1] if made else wanted))
        except OSError:
            for one in made:
                one.close()
            continue
        return addresses, made
    raise OSError(f"no loopback addresses below 127.16.0.0/12 could be listened on at port {port}")


def listen(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(_BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


class _Side(asyncio.Protocol):
    """One of a connection's two ends: what it receives it writes to the other."""

    def __init__(self, connection: _Connection) -> None:
        self.connection = connection
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self.waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self.transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if self.connection.proxy.silent:
            return  # lost on the way
        other = self.other
        if other is None or other.transport is None:
            self.waiting.append(data)
        else:
            other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other and self.other.transport:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other and self.other.transport:
            with contextlib.suppress(RuntimeError):
                self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        if self.other and self.other.transport and self.other.transport.can_write_eof():
            with contextlib.suppress(RuntimeError, OSError):
                self.other.transport.write_eof()
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.connection.end(abort=exc is not None)


class _Connection:
    """A client's connection and the one it is passed to."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.target: int | None = None
        self.client = _Side(self)
        self.server = _Side(self)
        self.ended = False

    def accepted(self) -> asyncio.Protocol:
        asyncio.get_running_loop().call_soon(self._begin)
        return self.client

    def _begin(self) -> None:
        self.proxy.connections.add(self)
        self.proxy.tasks.add(task := asyncio.ensure_future(self._connect()))
        task.add_done_callback(self.proxy.tasks.discard)

    async def _connect(self) -> None:
        while self.proxy.silent:
            await asyncio.sleep(0.05)
            if self.ended:
                return
        self.target = self.proxy.next_target()
        if self.target is None:
            self.end(abort=True)
            return
        try:
            async with asyncio.timeout(_CONNECT_S):
                await asyncio.get_running_loop().create_connection(lambda: self.server, "127.0.0.1", self.target)
        except (OSError, TimeoutError):
            self.end(abort=True)
            return
        if self.ended or self.target not in self.proxy.targets:
            self.end(abort=True)
            return
        self.client.other, self.server.other = self.server, self.client
        if self.server.transport is not None:
            for data in self.client.waiting:
                self.server.transport.write(data)
        self.client.waiting.clear()

    def end(self, *, abort: bool) -> None:
        if self.ended and not abort:
            return
        self.ended = True
        self.proxy.connections.discard(self)
        for side in (self.client, self.server):
            if side.transport is not None:
                if abort:
                    side.transport.abort()
                else:
                    side.transport.close()


class Proxy:
    """One endpoint. ``targets`` are ports of 127.0.0.1; connections are spread over them in turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listening: socket.socket) -> None:
        self._loop = loop
        self._listening = listening
        self._server: asyncio.Server | None = None
        self._turn = itertools.count(random.randrange(1000))
        self.host, self.port = listening.getsockname()[:2]
        self.targets: tuple[int, ...] = ()
        self.silent = False
        self.connections: set[_Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        self._server = await self._loop.create_server(lambda: _Connection(self).accepted(), sock=self._listening)

    def next_target(self) -> int | None:
        return self.targets[next(self._turn) % len(self.targets)] if self.targets else None

    # From any thread.

    def point(self, targets: Sequence[int]) -> None:
        """New connections go to ``targets``; those to other targets are cut."""

        def move() -> None:
            self.targets = tuple(targets)
            for connection in list(self.connections):
                if connection.target is not None and connection.target not in self.targets:
                    connection.end(abort=True)

        self._loop.call_soon_threadsafe(move)

    def cut(self) -> None:
        """Resets every connection."""

        def reset() -> None:
            for connection in list(self.connections):
                connection.end(abort=True)

        self._loop.call_soon_threadsafe(reset)

    def silence(self, silent: bool) -> None:
        """A partition: nothing passes, nothing is refused."""

        def change() -> None:
            if self.silent and not silent:
                # What was lost on the way leaves streams that cannot go on.
                for connection in list(self.connections):
                    if connection.target is not None:
                        connection.end(abort=True)
            self.silent = silent

        self._loop.call_soon_threadsafe(change)

    def close(self) -> None:
        def end() -> None:
            if self._server is not None:
                self._server.close()
            self._listening.close()
            for connection in list(self.connections):
                connection.end(abort=True)

        self._loop.call_soon_threadsafe(end)


class Proxies:
    """The thread and loop that all endpoints of a lab are served by."""

    def __init__(self) -> None:
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoints", daemon=True)
        self._thread.start()

    def open(self, listening: socket.socket) -> Proxy:
        """Serves a listening socket, without targets as yet; from any thread but the loop's own."""
        proxy = Proxy(self._loop, listening)
        self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(proxy.serve(), loop=self._loop))
        return proxy

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


def _new_loop() -> asyncio.AbstractEventLoop:
    new: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):
        from uvloop import new_event_loop as new
    return new()
