"""Calls to AWS: what stands immediately before one is sent, against a server that counts what arrives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

from penstock.aws import account as account_module
from penstock.aws.account import Account
from penstock.engine.errors import Meaning, Trouble


class Endpoint(ThreadingHTTPServer):
    """arrived: the target of each request. status, answer: what each gets, once hold is set."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.status, self.answer = 200, b"{}"
        self.hold = threading.Event()
        self.hold.set()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.arrived.append(self.headers.get("X-Amz-Target", ""))
                self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.hold.wait(20)
                self.send_response(endpoint.status)
                self.send_header("Content-Length", str(len(endpoint.answer)))
                self.end_headers()
                self.wfile.write(endpoint.answer)

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


def test_of_a_region_that_there_is_not_no_client_and_no_bucket_is_made(endpoint: Endpoint) -> None:
    async def scenario() -> None:
        account = Account("eu-west-1")
        for number in range(1, 100):
            assert account.affords("rds", "DescribeDBClusters", f"xx-invented-{number}")
            with pytest.raises(
                Trouble, match=rf"xx-invented-{number} is no AWS region .* Set spec.region to one"
            ) as raised:
                await account.call("rds", "DescribeDBClusters", region=f"xx-invented-{number}")
            assert raised.value.meaning is Meaning.INVALID
            assert raised.value.reason == "Invalid"
        assert account._clients == {}
        assert account._buckets == {}
        account.close()

    asyncio.run(scenario())
    assert endpoint.arrived == []


def test_the_operators_own_region_and_those_that_the_administrator_names_may_be_newer_than_botocore(
    endpoint: Endpoint,
) -> None:
    async def scenario() -> None:
        account = Account("xx-new-1", more_regions=["xx-new-2"])
        for region in ("", "xx-new-2", "eu-west-1"):
            await account.call("dynamodb", "ListTables", region=region)
        account.close()

    asyncio.run(scenario())
    assert len(endpoint.arrived) == 3


def test_so_many_clients_are_kept_and_those_that_are_used(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_module, "_CLIENTS", 3)

    async def scenario() -> None:
        account = Account("eu-west-1")
        regions = ["eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "us-east-1"]
        for region in regions:
            await account.call("dynamodb", "ListTables", region=region)
            await account.call("dynamodb", "ListTables", region="eu-west-1")
        assert [region for _, region in account._clients] == ["eu-north-1", "us-east-1", "eu-west-1"]
        account.close()

    asyncio.run(scenario())
    assert len(endpoint.arrived) == 10


def test_credentials_are_read_anew_beside_the_event_loop(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles and the caches of logins are files, on a disk that may be slow."""
    endpoint.status, threads = 400, []
    endpoint.answer = b'{"__type": "com.amazon.coral.service#UnrecognizedClientException", "message": "no"}'

    async def scenario() -> None:
        account = Account("eu-west-1")
        works = boto3.Session
        monkeypatch.setattr(
            boto3,
            "Session",
            lambda: [threads.append(threading.current_thread()), works()][1],  # type: ignore[func-returns-value]
        )
        account._renewed = -1e9
        with pytest.raises(Trouble):
            await account.call("dynamodb", "ListTables")
        assert account._clients == {}
        account.close()

    asyncio.run(scenario())
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


@pytest.mark.parametrize(("operation", "writing"), [("DeleteTable", 1), ("ListTables", 0)])
def test_writes_that_are_not_answered_are_known_even_when_nobody_waits_for_them(
    operation: str, writing: int, endpoint: Endpoint
) -> None:
    """The task that waits for one can be cancelled; the thread cannot."""
    endpoint.hold = threading.Event()

    async def scenario() -> None:
        account = Account("eu-west-1")
        call = asyncio.create_task(account.call("dynamodb", operation, {"TableName": "a"} if writing else None))
        while not endpoint.arrived:
            await asyncio.sleep(0.01)
        call.cancel()
        account.close()
        assert account.writing == writing
        endpoint.hold.set()
        while account.writing:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 20))
