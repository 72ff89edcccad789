"""Endpoints: TCP proxies on loopback addresses of their own, served by one event loop in a thread of its own.

A proxy passes bytes and reads none, so TLS is between the client and PostgreSQL. In front of a PostgreSQL that was built without
TLS it is the proxy that speaks it (PostgreSQL's manual, "Message Flow", SSL session encryption). What AWS does by DNS the proxy does by where it
connects to: a client that resolves the name anew is one that connects anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import cast

from ..pki import Pair

# Blocks of 32 addresses below 127.16.0.0/12: the writer's, the readers', and sixteen instances' and more.
BLOCK = 32
_BLOCKS = range(0, 1 << 15)
_BACKLOG = 1024
_CONNECT_S = 3.0
_REQUEST_LENGTH = 8
_TLS_REQUEST = struct.pack("!ii", _REQUEST_LENGTH, 80877103)
_GSS_REQUEST = struct.pack("!ii", _REQUEST_LENGTH, 80877104)

# An ErrorResponse as PostgreSQL's own to a connection that pg_hba.conf has only encrypted.
_FIELDS = b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry for an unencrypted connection\0\0"
_REFUSAL = b"E" + struct.pack("!i", 4 + len(_FIELDS)) + _FIELDS


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
        self.greeting: _Greeting | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self.transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if self.connection.proxy.silent:
            return  # lost on the way
        if self.greeting is not None:
            data = self.greeting.received(data)
            if not data:
                return
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


class _Greeting:
    """The first bytes of a client, where the proxy speaks TLS for the server."""

    def __init__(self, side: _Side, tls: ssl.SSLContext) -> None:
        self._side = side
        self._tls = tls
        self._read = b""

    def received(self, data: bytes) -> bytes:
        """What is to be passed on of what has come in: nothing while encryption is being agreed on."""
        self._read += data
        if len(self._read) < _REQUEST_LENGTH or self._side.transport is None:
            return b""
        request, read = self._read[:_REQUEST_LENGTH], self._read
        self._read = b""
        if request == _GSS_REQUEST:
            self._side.transport.write(b"N")
            return read[_REQUEST_LENGTH:]
        self._side.greeting = None
        if request != _TLS_REQUEST:
            if self._side.connection.proxy.force_tls:
                self._side.transport.write(_REFUSAL)
                self._side.transport.close()
                return b""
            return read
        self._side.transport.write(b"S")
        self._side.connection.proxy.begin(self._encrypt())
        return b""

    async def _encrypt(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._side.transport = await loop.start_tls(  # type: ignore[assignment]
                cast(asyncio.Transport, self._side.transport), self._side, self._tls, server_side=True
            )
        except (OSError, ConnectionError):
            self._side.connection.end(abort=True)


class _Connection:
    """A client's connection and the one it is passed to."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.target: int | None = None
        self.client = _Side(self)
        if proxy.tls is not None:
            self.client.greeting = _Greeting(self.client, proxy.tls)
        self.server = _Side(self)
        self.ended = False

    def accepted(self) -> asyncio.Protocol:
        asyncio.get_running_loop().call_soon(self._begin)
        return self.client

    def _begin(self) -> None:
        self.proxy.connections.add(self)
        self.proxy.begin(self._connect())

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

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listening: socket.socket, tls: ssl.SSLContext | None = None
    ) -> None:
        self.tls = tls
        # Whether it refuses who does not ask for TLS, where it is the proxy that speaks it (rds.force_ssl).
        self.force_tls = False
        self._loop = loop
        self._listening = listening
        self._server: asyncio.Server | None = None
        self._turn = itertools.count(random.randrange(1000))
        self.host, self.port = listening.getsockname()[:2]
        self.targets: tuple[int, ...] = ()
        self.silent = self._told_silent = False
        self.connections: set[_Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        self._server = await self._loop.create_server(lambda: _Connection(self).accepted(), sock=self._listening)

    def begin(self, work: Coroutine[None, None, None]) -> None:
        self.tasks.add(task := asyncio.ensure_future(work))
        task.add_done_callback(self.tasks.discard)

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
        if silent == self._told_silent:
            return
        self._told_silent = silent

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

    def open(self, listening: socket.socket, pair: Pair | None = None) -> Proxy:
        """Serves a listening socket, without targets as yet; with a ``pair`` the endpoint speaks TLS for its targets."""
        tls = None
        if pair is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(pair.cert, pair.key)
        proxy = Proxy(self._loop, listening, tls)
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
