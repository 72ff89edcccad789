"""Calls to AWS: what stands immediately before one is sent, against a server that counts what arrives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from penstock.aws.account import Account
from penstock.engine.errors import Trouble


class Endpoint(ThreadingHTTPServer):
    """arrived: the target of each request."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.arrived.append(self.headers.get("X-Amz-Target", ""))
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                return

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with Endpoint() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield server
        server.shutdown()


def test_what_stands_before_a_call_is_asked_in_its_thread_after_all_waiting(endpoint: Endpoint) -> None:
    """Both the tokens and the credentials may take long; the process may be suspended in either."""
    asked: list[tuple[str, int]] = []

    async def scenario() -> None:
        account = Account(
            "eu-west-1", before_send=lambda: asked.append((threading.current_thread().name, len(endpoint.arrived)))
        )
        await account.call("dynamodb", "ListTables")
        await account.call("dynamodb", "DeleteTable", {"TableName": "a"})
        account.close()

    asyncio.run(scenario())
    assert len(endpoint.arrived) == 2
    assert [number for _, number in asked] == [0, 1]
    assert all(name.startswith("aws") for name, _ in asked)


def test_what_it_refuses_is_not_sent(endpoint: Endpoint) -> None:
    def refuses() -> None:
        raise RuntimeError("not the leader")

    async def scenario() -> None:
        account = Account("eu-west-1", before_send=refuses)
        with pytest.raises(RuntimeError, match="not the leader"):
            await account.call("dynamodb", "DeleteTable", {"TableName": "a"})
        account.close()

    asyncio.run(scenario())
    assert endpoint.arrived == []


def test_a_closed_account_sends_nothing_that_a_thread_was_about_to_send(endpoint: Endpoint) -> None:
    async def scenario() -> None:
        account = Account("eu-west-1")
        await account.call("dynamodb", "ListTables")
        client = account._clients["dynamodb", "eu-west-1"]
        reached, go_on = threading.Event(), threading.Event()

        def stand(**_: object) -> None:
            reached.set()
            go_on.wait(10)

        client.meta.events.register_first("before-send", stand)
        call = asyncio.create_task(account.call("dynamodb", "DeleteTable", {"TableName": "a"}))
        await asyncio.to_thread(reached.wait, 10)
        account.close()
        go_on.set()
        with pytest.raises(Trouble, match="leaving"):
            await call

    asyncio.run(scenario())
    assert endpoint.arrived == ["DynamoDB_20120810.ListTables"]
