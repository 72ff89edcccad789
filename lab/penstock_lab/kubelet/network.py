"""The network of a lab whose pods run in containers: a namespace of its own, and what passes between it and this machine's loopback.

In the namespace are the control plane, the node and its pods, as on one machine; nothing in it is reachable from outside and it reaches nothing.
Four kinds of connections are relayed, byte for byte:

* from this machine's loopback to the API server, for kubectl,
* from `GATEWAY` to the AWS endpoint on this machine's loopback,
* from `GATEWAY` to each database's own loopback address, for which `databases` maps addresses in every pod.

    python -m penstock_lab.kubelet.network --folder .lab/NAME --apiserver PORT --aws PORT [--owner PID:START]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from ..processes import outlive

GATEWAY = "10.88.0.1"
"""The node's address: the bridge's, which is the pods' gateway too."""
PODS = "10.88.0.0/16"
SERVICES = "10.96.0.0/16"
DATABASES = "127.16.0.0/12"
"""Where the databases' endpoints listen on this machine (`postgres.proxy`)."""
MAPPED = "10.16.0.0/12"
"""Where pods' connections to `DATABASES` arrive, the rest of the address kept."""

_RELAY_PORT = 5
_NEW_NETWORK = 0x40000000
_ORIGINAL_DESTINATION = 80
_libc = ctypes.CDLL(None, use_errno=True)
_log = logging.getLogger("network")
Destination = Callable[[socket.socket], tuple[str, int]]


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def _inside(namespace: int, back: int) -> Iterator[None]:
    """Sockets made in the block belong to `namespace`; the thread returns to `back`."""
    _checked(_libc.setns(namespace, _NEW_NETWORK))
    try:
        yield
    finally:
        _checked(_libc.setns(back, _NEW_NETWORK))


def _listener(address: str, port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    made.listen(512)
    made.setblocking(False)
    return made


def _own_network() -> None:
    """Bring up what the namespace needs: a bridge for the pods, forwarding, and the databases' mapped addresses."""
    commands = (
        "ip link set lo up",
        "ip link add cni0 type bridge",
        f"ip address add {GATEWAY}/16 dev cni0",
        "ip link set cni0 up",
        # The API server's own connections to Services are routed before their address is exchanged.
        "ip route add default dev cni0",
        f"ip route add local {MAPPED} dev lo",
        f"iptables -w -t nat -A PREROUTING -d {MAPPED} -p tcp -j REDIRECT --to-ports {_RELAY_PORT}",
    )
    for command in commands:
        subprocess.run(command.split(), check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _database(accepted: socket.socket) -> tuple[str, int]:
    """The endpoint that the pod named: its address was mapped in the pod and redirected here."""
    raw = accepted.getsockopt(socket.SOL_IP, _ORIGINAL_DESTINATION, 16)
    port, address = struct.unpack("!2xH4s8x", raw)
    return socket.inet_ntoa(bytes([127]) + address[1:]), port


async def _serve(listener: socket.socket, dial: Callable[[], socket.socket], destination: Destination) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = writer.transport
        try:
            there = dial()
            there.setblocking(False)
            accepted = writer.get_extra_info("socket")
            await asyncio.get_running_loop().sock_connect(there, destination(accepted))
            reader2, writer2 = await asyncio.open_connection(sock=there)
        except OSError:
            # As a refused connection, as far as that can be told once it was accepted.
            transport.abort()
            return
        await asyncio.gather(_pump(reader, writer2), _pump(reader2, writer))

    server = await asyncio.start_server(relay, sock=listener)
    await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


async def run(apiserver: int, aws: int, owner: tuple[int, int] | None, folder: Path) -> None:
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    kubernetes = _listener("127.0.0.1", apiserver)
    _checked(_libc.unshare(_NEW_NETWORK))
    inside = os.open("/proc/self/ns/net", os.O_RDONLY)
    _own_network()

    def dial_outside() -> socket.socket:
        with _inside(outside, inside):
            return socket.socket()

    loops = [
        _serve(kubernetes, socket.socket, lambda _: ("127.0.0.1", apiserver)),
        _serve(_listener(GATEWAY, aws), dial_outside, lambda _: ("127.0.0.1", aws)),
        _serve(_listener("0.0.0.0", _RELAY_PORT), dial_outside, _database),  # noqa: S104 (in a namespace of its own)
    ]
    tasks = [asyncio.create_task(loop) for loop in loops]
    if owner:
        tasks.append(asyncio.create_task(outlive(owner, folder)))
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    (folder / "network").touch()
    await stop.wait()
    for task in tasks:
        task.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description="The network of a lab with containers; started by `penstock lab up`.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--apiserver", type=int, required=True)
    parser.add_argument("--aws", type=int, required=True)
    parser.add_argument("--owner", help="PID:START of the process that the lab must not outlive")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    first, _, second = (options.owner or "").partition(":")
    owner = (int(first), int(second)) if first else None
    asyncio.run(run(options.apiserver, options.aws, owner, options.folder.resolve()))


if __name__ == "__main__":
    main()
