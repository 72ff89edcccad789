"""Serves the endpoint: cheroot with keep-alive, a ticker for what happens by itself, an end on SIGTERM."""

from __future__ import annotations

import argparse
import errno
import gzip
import json
import os
import signal
import sys
import threading
import time
import zlib
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cheroot import server as cheroot_server

from .dispatch import Dispatcher, Dropped, crc32
from .settings import settings

if TYPE_CHECKING:
    from ..postgres.plane import PostgresDataPlane

_REASONS = {status.value: status.phrase for status in HTTPStatus}
# One thread a request in flight. CPU work is serialised by the interpreter anyway; the number bounds how many
# requests may sit in an injected latency at a time.
_THREADS = 48


def _inflated(headers: dict[bytes, bytes], body: bytes) -> tuple[dict[bytes, bytes], bytes]:
    """A compressed request as it was before; one that is not compressed as it says stays as it is, for the service to refuse."""
    try:
        return {k: v for k, v in headers.items() if k != b"Content-Encoding"}, gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return headers, body


class _Gateway(cheroot_server.Gateway):
    """Answers on the connection directly: a WSGI environment would double the cost of a request."""

    dispatcher: Dispatcher

    def respond(self) -> None:
        req = self.req
        headers: dict[bytes, bytes] = req.inheaders
        # Chunked bodies are read to their end, the others to their length.
        body = req.rfile.read()
        if headers.get(b"Content-Encoding") == b"gzip":
            # What botocore does with a large PutMetricData; services take it so.
            headers, body = _inflated(headers, body)
        try:
            status, out, content = self.dispatcher.answer(
                req.method.decode(), req.path.decode(), req.qs.decode(), headers, body
            )
        except Dropped:
            req.close_connection = True
            raise ConnectionResetError(errno.ECONNRESET, "dropped by a fault rule") from None
        if not req.close_connection and not req.server.can_add_keepalive_connection:
            req.close_connection = True
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in out]
        lines.append(f"x-amz-crc32: {crc32(content)}\r\nContent-Length: {len(content)}\r\nServer: Server\r\n")
        if req.close_connection:
            lines.append("Connection: close\r\n")
        elif req.response_protocol == "HTTP/1.0":
            lines.append("Connection: Keep-Alive\r\n")
        lines.append("\r\n")
        req.sent_headers = True
        head = "".join(lines).encode("latin-1", "replace")
        req.conn.wfile.write(head if req.method == b"HEAD" else head + content)


class Ticker(threading.Thread):
    """Calls each task about ten times a second; a task that fails is reported and called again."""

    def __init__(self, tasks: list[Any]) -> None:
        super().__init__(name="ticker", daemon=True)
        self._tasks = tasks

    def run(self) -> None:
        while True:
            time.sleep(0.1)
            for task in self._tasks:
                try:
                    task()
                except Exception as failure:
                    print(f"ticker: {task.__qualname__} failed: {failure!r}", file=sys.stderr)


def build(host: str, port: int, dispatcher: Dispatcher) -> cheroot_server.HTTPServer:
    """A server that owns its port; its ``bind_addr`` says which one when ``port`` was 0. Raises OSError if taken."""
    gateway = type("Gateway", (_Gateway,), {"dispatcher": dispatcher})
    server = cheroot_server.HTTPServer((host, port), gateway, minthreads=_THREADS, maxthreads=_THREADS)
    # The default closes all but ten idle connections, which costs clients a connection a request.
    server.keep_alive_conn_limit = 10_000
    server.request_queue_size = 1024
    server.timeout = 300
    server.nodelay = True
    # On loopback another process must not be able to share the port.
    server.reuse_port = False
    server.prepare()
    return server


def _databases(folder: Path, pki: Path | None) -> PostgresDataPlane:
    from ..pki import Authority
    from ..postgres.binaries import find
    from ..postgres.plane import PostgresDataPlane
    from .services import use_databases

    plane = PostgresDataPlane(folder, Authority(pki or folder / "pki"), find())
    use_databases(plane)
    return plane


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="penstock_lab.aws", description="The lab's AWS endpoint.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--settings", type=Path, help="a JSON file of settings, as GET /lab/settings gives them")
    parser.add_argument(
        "--postgres",
        type=Path,
        help="a folder for databases: Aurora PostgreSQL clusters get real ones; emptied at the end",
    )
    parser.add_argument("--pki", type=Path, help="the certificate authority's folder; else one inside --postgres")
    options = parser.parse_args(arguments)
    if options.settings:
        try:
            settings.update(json.loads(options.settings.read_text()))
        except (OSError, ValueError) as error:
            parser.error(f"{options.settings}: {error}")

    from .services import build_dispatcher, ticks  # moto's import takes half a second: not for --help or a bad option

    plane = None
    if options.postgres:
        from ..postgres.binaries import PostgresMissing

        try:
            plane = _databases(options.postgres, options.pki)
        except PostgresMissing as missing:
            print(missing, file=sys.stderr)
            return 1
    try:
        server = build(options.host, options.port, build_dispatcher())
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error.strerror or error}", file=sys.stderr)
        return 1
    ticker = Ticker(ticks())

    def stop(*_: Any) -> None:
        if plane is not None:
            plane.end()
        # There is nothing to save, and a graceful stop would wait for requests that a fault rule holds up.
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    ticker.start()
    host, port = server.bind_addr[:2]
    print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)
    server.serve()
    return 0
