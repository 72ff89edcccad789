"""Calls to AWS: one place that paces, counts, times and classifies every request of the operator.

boto3 is synchronous, so calls run in a bounded pool of threads; its own retries are off, because a retry that the queue makes is visible, paced
with everything else and started from a fresh look.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore import __version__ as botocore_version
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from penstock import __version__
from penstock.api.conditions import Reason
from penstock.aws import errors
from penstock.engine import metrics
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.pacing import Limit, TokenBucket
from penstock.engine.queue import Priority

log = logging.getLogger(__name__)

LIMITS: dict[str, Limit] = {
    # DynamoDB guide, "Best practices for using the control plane": 2,500 requests/s an account and region.
    "dynamodb": Limit(rate=1000, burst=500),
    # Application Auto Scaling publishes no figure; its API throttles early.
    "application-autoscaling": Limit(rate=10, burst=20),
    "resourcegroupstaggingapi": Limit(rate=5, burst=10),
    # KMS quotas: 2,000 DescribeKey/s shared in an account; one key serves many tables and is remembered.
    "kms": Limit(rate=20, burst=20),
    # RDS guide, "Throttling of RDS API requests": 12 requests/s an account and region, shared by every tool. No minute of ours has more than
    # 30 + 60 × 5.5 = 360 requests, which is half; a quarter of the burst is kept for writes and for whoever waits.
    "rds": Limit(rate=5.5, burst=30),
    # Secrets Manager quotas: 10,000 DescribeSecret and GetSecretValue/s together; a thousand clusters ask some eleven times.
    "secretsmanager": Limit(rate=50, burst=100),
    # EC2 API throttling: buckets that refill by 10 describes/s, shared in an account.
    "ec2": Limit(rate=5, burst=20),
    # CloudWatch quotas: 50 GetMetricData a second, shared by every dashboard of the account.
    "cloudwatch": Limit(rate=5, burst=10),
    # The Price List API publishes no figure; a region is read once a day, page by page.
    "pricing": Limit(rate=5, burst=5),
    # Cost Explorer is asked once a day; what is asked is paid for.
    "ce": Limit(rate=1, burst=2),
    # SQS has no limit for long polls of a standard queue.
    "sqs": Limit(rate=20, burst=20),
}
OPERATION_LIMITS: dict[tuple[str, str], Limit] = {
    # 500 tables of an account may change at once (DynamoDB guide, "Quotas", control plane): a burst of new ones comes in such a pace that of tables
    # which take three seconds the first is made before the five-hundredth is asked for.
    ("dynamodb", "CreateTable"): Limit(rate=150, burst=45),
    # DynamoDB API reference: each of these has a cap of its own for the whole account. Half is left to others.
    ("dynamodb", "DescribeContinuousBackups"): Limit(rate=5, burst=10),
    ("dynamodb", "ListTagsOfResource"): Limit(rate=5, burst=10),
    ("dynamodb", "TagResource"): Limit(rate=2.5, burst=5),
    ("dynamodb", "UntagResource"): Limit(rate=2.5, burst=5),
    ("dynamodb", "CreateBackup"): Limit(rate=25, burst=25),
    ("dynamodb", "DeleteBackup"): Limit(rate=5, burst=5),
    ("dynamodb", "DescribeBackup"): Limit(rate=5, burst=10),
    ("dynamodb", "ListBackups"): Limit(rate=2.5, burst=5),
    ("dynamodb", "RestoreTableFromBackup"): Limit(rate=5, burst=5),
}
_DEFAULT = Limit(rate=10, burst=20)
# After credentials failed, a new session may find renewed ones (a mounted Secret, a file); not more often than this, in seconds.
_RENEW = 15.0
# A long poll of SQS lasts up to 20 seconds by itself.
_READ_TIMEOUTS = {"sqs": 30}


_USER_AGENT = (
    f"Boto3/{boto3.__version__} Botocore/{botocore_version} Python/{platform.python_version()} penstock/{__version__}"
)
# Clients that are kept. Each takes 0.2 to 1.3 MB, and 5 to 20 ms to make anew.
_CLIENTS = 64
# Operations whose names begin so change nothing.
_READS = ("BatchGet", "Describe", "Get", "List", "Lookup", "Query", "Receive", "Scan")
_RIGHTS_LACK = ("AccessDenied", "AccessDeniedException", "KMSKeyNotAccessibleFault")


class CallsEndedError(BotoCoreError):
    """A call that a thread was still about to send when the account was closed."""

    fmt = "the process is leaving, so nothing more is sent to AWS"


@cache
def known_regions() -> frozenset[str]:
    """The regions of all partitions that botocore knows. The first call reads its endpoints, which takes 0.1 s."""
    session = botocore.session.Session()
    return frozenset(
        region
        for partition in session.get_available_partitions()
        for service in ("dynamodb", "rds")
        for region in session.get_available_regions(service, partition)
    )


def rds_limit(rate: float) -> Limit:
    """The pace for RDS at so many requests a second: the burst grows and shrinks with it."""
    usual = LIMITS["rds"]
    return Limit(rate=rate, burst=usual.burst * rate / usual.rate)


class Account:
    """The operator's AWS account.

    region: where objects live that name none. threads: calls in flight at once. rds_rate: RDS requests a second, None for the usual pace.
    before_send: called in the thread of each call, immediately before it is sent; what it raises, or ending the process, prevents that.
    more_regions: regions beside those that botocore knows. Reads files, so an event loop makes one in a thread.
    """

    def __init__(
        self,
        region: str,
        threads: int = 16,
        rds_rate: float | None = None,
        before_send: Callable[[], None] = lambda: None,
        more_regions: Iterable[str] = (),
    ) -> None:
        self.region = region
        self._regions = known_regions() | {region, *more_regions}
        self._before_send = before_send
        self._closed = False
        self._writing = 0
        self._counting = threading.Lock()
        self._limits = LIMITS if rds_rate is None else {**LIMITS, "rds": rds_limit(rds_rate)}
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="aws")
        self._clients: dict[tuple[str, str], Any] = {}
        self._buckets: dict[tuple[str, str, str], TokenBucket] = {}
        self._making = asyncio.Lock()
        self._renewed = 0.0
        self._session = boto3.Session()

    def close(self) -> None:
        """Send nothing more. What was sent already is not waited for."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def writing(self) -> int:
        """Calls in threads that may still change something: sent, or about to be, and not answered."""
        return self._writing

    def affords(self, service: str, operation: str, region: str = "") -> bool:
        """Whether a background read could be sent now without waiting. Nothing is spent."""
        region = region or self.region
        return region not in self._regions or all(b.affords_background for b in self._of(service, operation, region))

    async def call(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        region: str = "",
        priority: Priority = Priority.NORMAL,
    ) -> dict[str, Any]:
        """One AWS request, as botocore names it ("dynamodb", "DescribeTable"). Returns its answer; raises Trouble."""
        region = region or self.region
        if region not in self._regions:
            # Clients and buckets are kept by region, so that anybody's invention must not make any.
            raise _no_region(region)
        buckets = self._of(service, operation, region)
        began = time.monotonic()
        for bucket in buckets:
            await bucket.take(priority)
        sent = time.monotonic()
        metrics.AWS_PACED.labels(service).inc(sent - began)
        outcome = "ok"
        try:
            client = await self._client(service, region)
            method = getattr(client, xform_name(operation))
            answer: dict[str, Any] = await asyncio.get_running_loop().run_in_executor(
                self._pool, self._counted, operation, method, parameters or {}
            )
            return answer
        except (ClientError, BotoCoreError, ResponseParserError, ValueError) as error:
            trouble = errors.trouble(error, service, operation)
            outcome = str(trouble.meaning)
            if trouble.meaning is Meaning.THROTTLED:
                for bucket in buckets:
                    bucket.slow_down()
            if trouble.meaning is Meaning.DENIED:
                await self._renew(trouble)
            raise trouble from error
        finally:
            metrics.AWS_CALLS.labels(service, operation, outcome).inc()
            metrics.AWS_SECONDS.labels(service).observe(time.monotonic() - sent)

    def _counted(self, operation: str, method: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
        if operation.startswith(_READS):
            return method(**parameters)
        with self._counting:
            self._writing += 1
        try:
            return method(**parameters)
        finally:
            with self._counting:
                self._writing -= 1

    async def _client(self, service: str, region: str) -> Any:
        client = self._clients.pop((service, region), None)
        if client is not None:
            # The one that was used last is the last to be dropped.
            self._clients[service, region] = client
        else:
            # Building a client reads large service models, and boto3 sessions are not safe to share between threads while doing so.
            async with self._making:
                client = self._clients.get((service, region))
                if client is None:
                    client = await asyncio.get_running_loop().run_in_executor(self._pool, self._make, service, region)
                    self._clients[service, region] = client
                    if len(self._clients) > _CLIENTS:
                        self._clients.pop(next(iter(self._clients))).close()
        return client

    def _make(self, service: str, region: str) -> Any:
        config = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=5,
            read_timeout=_READ_TIMEOUTS.get(service, 20),
            max_pool_connections=self._threads,
            # Built from parts anew with each request, twice, it would be a quarter of what botocore computes.
            user_agent=_USER_AGENT,
            # The models of the API were checked at admission; AWS checks again.
            parameter_validation=False,
        )
        client = self._session.client(service, region_name=region, config=config)  # type: ignore[call-overload]
        # Here, signed and with credentials renewed, and not in call(): the process may be suspended for long between the two.
        client.meta.events.register("before-send", self._sending)
        return client

    def _sending(self, **_: Any) -> None:
        if self._closed:
            raise CallsEndedError
        self._before_send()

    def _of(self, service: str, operation: str, region: str) -> list[TokenBucket]:
        found = [self._bucket(service, "", region, self._limits.get(service, _DEFAULT))]
        own = OPERATION_LIMITS.get((service, operation))
        if own is not None:
            found.append(self._bucket(service, operation, region, own))
        return found

    def _bucket(self, service: str, operation: str, region: str, limit: Limit) -> TokenBucket:
        key = (service, operation, region)
        if key not in self._buckets:
            self._buckets[key] = TokenBucket(limit)
        return self._buckets[key]

    async def _renew(self, trouble: Trouble) -> None:
        if trouble.reason == Reason.ACCESS_DENIED and trouble.code in _RIGHTS_LACK:
            # The credentials work; it is a policy that is missing something.
            return
        now = time.monotonic()
        if now - self._renewed >= _RENEW:
            self._renewed = now
            try:
                # Profiles and caches of logins are files.
                self._session = await asyncio.to_thread(boto3.Session)
            except BotoCoreError as error:
                # A profile that is gone: what there was is no worse.
                log.warning("the AWS settings cannot be read anew: %s", error)
                return
            self._clients.clear()


def _no_region(region: str) -> Trouble:
    sentence = (
        f"{region} is no AWS region that this operator knows (botocore {botocore_version}). Set spec.region to one of AWS's regions,"
        " for example eu-west-1; a new region needs a newer Penstock, or its name in the chart's aws.regions."
    )
    return Trouble(Meaning.INVALID, Reason.INVALID, sentence)
