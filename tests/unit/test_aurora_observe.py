"""Looking at a cluster and writing to it, on a virtual clock: what is asked of AWS, how often, and what of an answer need not be asked again."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aurora_world import NAME, OWNER, Operator, spec
from aurora_world import OWN as OWN_SUBNETS
from fake_kube import FakeKube
from test_aurora_inventory import RecordedAccount
from virtual_time import elapsed, now, virtual

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.aurora.act import Actor
from penstock.aurora.facets import cycle
from penstock.aurora.inventory import Inventory
from penstock.aurora.memory import Memory
from penstock.aurora.observe import Observer
from penstock.aurora.password import SECRETS
from penstock.aurora.state import PASSWORD, Desired, Group, Observed
from penstock.aws.errors import UNSUPPORTED
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Key, Look
from penstock.engine.plan import Step
from penstock.engine.queue import Priority

REGION, FAMILY = "us-east-1", "aurora-postgresql15"
OWN = f"{OWN_SUBNETS}-{FAMILY}"
KEY = Key("AuroraCluster", "shop", "ledger")
DENIED = Trouble(Meaning.DENIED, Reason.ACCESS_DENIED, "AWS denies it.")
LOST = Trouble(Meaning.UNAVAILABLE, Reason.UNAVAILABLE, "AWS cannot be reached.")
CREATE = Step(
    "rds",
    "CreateDBCluster",
    {"DBClusterIdentifier": NAME, "Tags": [{"Key": OWNER_TAG, "Value": OWNER}]},
    "make cluster",
    facet="cluster",
)
MODIFY = Step(
    "rds", "ModifyDBCluster", {"DBClusterIdentifier": NAME, "BackupRetentionPeriod": 7}, "set", facet="cluster"
)
SECRET = {"credentials": {"passwordSecretRef": {"name": "master"}}}


def fault(code: str, words: str = "as the test says", meaning: Meaning = Meaning.INVALID) -> Trouble:
    return Trouble(meaning, Reason.REFUSED, f"AWS refuses rds:It: {words}", code=code, detail=words, operation="It")


class Rds(RecordedAccount):
    """The inventory's account with parameter groups and families. groups: by operation's list, name → values. answers: canned, by operation."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: dict[str, dict[str, dict[str, str]]] = {"DBClusterParameterGroup": {}, "DBParameterGroup": {}}
        self.answers: dict[str, Any] = {}
        self.made = 0

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        if operation in self.answers:
            canned = self.answers[operation]
            return dict(canned(asked) if callable(canned) else canned)
        for kind, groups in self.groups.items():
            if operation == f"Describe{kind}s":
                return self._groups(kind, groups, asked)
            if operation == f"Describe{kind.removesuffix('ParameterGroup')}Parameters":
                values = groups[asked[f"{kind}Name"]]
                return {
                    "Parameters": [
                        {"ParameterName": n, "ParameterValue": v, "Source": "user"} for n, v in values.items()
                    ]
                }
        if operation == "DescribeEngineDefaultClusterParameters":
            return {"EngineDefaults": {"Parameters": [{"ParameterName": "rds.force_ssl", "ApplyType": "dynamic"}]}}
        if operation == "DescribeEngineDefaultParameters":
            return {"EngineDefaults": {"Parameters": [{"ParameterName": "log_min_error_statement"}]}}
        if operation == "CreateDBCluster":
            self.made += 1
            self.cluster(NAME, DbClusterResourceId=f"cluster-{self.made}", EngineVersion="15.10", Status="creating")
            self.clusters[NAME]["TagList"] = asked.get("Tags", [])
            # As AWS may: without the tags.
            return {"DBCluster": {k: v for k, v in self.clusters[NAME].items() if k != "TagList"}}
        if operation == "ModifyDBCluster" and NAME in self.clusters:
            self.clusters[NAME] |= {k: v for k, v in asked.items() if k == "BackupRetentionPeriod"}
            return {"DBCluster": dict(self.clusters[NAME])}
        return super().answer(operation, asked)

    def _groups(self, kind: str, groups: Mapping[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        name = asked.get(f"{kind}Name")
        if name is not None and name not in groups:
            raise Trouble(Meaning.MISSING, Reason.WAITING_FOR_DEPENDENCY, "none", code="DBParameterGroupNotFound")
        return {f"{kind}s": [{f"{kind}Name": n, "DBParameterGroupFamily": FAMILY} for n in groups if name in (None, n)]}


@dataclass
class Bench:
    """One object before its observer and actor."""

    account: Rds
    inventory: Inventory
    observer: Observer
    actor: Actor
    kube: FakeKube
    operator: Operator
    memory: Memory = field(default_factory=Memory)

    @property
    def desired(self) -> Desired:
        return self.operator.desired

    async def look(self, **how: Any) -> Observed:
        self.inventory.watches(KEY, REGION, NAME)
        return await self.observer.observe(self.desired, self.memory, Look(**how))

    async def act(self, step: Step) -> str | None:
        return await self.actor.act(self.desired, self.memory, step)

    def count(self, *operations: str) -> int:
        return sum(self.account.count(operation) for operation in operations)

    def secret(self, password: str | None, **metadata: Any) -> None:
        data = {} if password is None else {"password": base64.b64encode(password.encode()).decode()}
        body = {"metadata": {"name": "master", **metadata}, "data": data}
        if ("secrets", "shop", "master") in self.kube.cluster.objects:
            self.kube.cluster.replace(SECRETS, "shop", "master", body)
        else:
            self.kube.cluster.create(SECRETS, "shop", body)


@asynccontextmanager
async def bench(**fields: Any) -> AsyncIterator[Bench]:
    account, kube = Rds(), FakeKube()
    inventory = Inventory(account)  # type: ignore[arg-type]
    observer = Observer(account, inventory, kube, clock=now)  # type: ignore[arg-type]
    actor = Actor(account, inventory, clock=now)  # type: ignore[arg-type]
    task = asyncio.create_task(inventory.run(lambda key: None))
    await asyncio.sleep(0)
    try:
        yield Bench(account, inventory, observer, actor, kube, Operator(spec(**fields)))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


GROUP_READS = ("DescribeDBClusterParameterGroups", "DescribeDBClusterParameters", "DescribeDBSubnetGroups")


@virtual
async def test_a_first_creation_reads_nothing_of_its_own() -> None:
    async with bench(network={"subnetIds": ["subnet-a", "subnet-b"]}) as b:
        seen = await b.look()
        assert seen.cluster is None
        assert seen.groups == {("cluster", OWN): Group()}
        assert seen.subnet_groups == {OWN_SUBNETS: None}
        assert b.count(*GROUP_READS) == 0


@virtual
async def test_a_plan_that_is_only_printed_reads_it_all() -> None:
    async with bench(network={"subnetIds": ["subnet-a", "subnet-b"]}) as b:
        await b.look(only=True)
        assert b.count("DescribeDBClusterParameterGroups") == 1
        assert b.count("DescribeDBSubnetGroups") == 1


@virtual
async def test_what_exists_already_is_looked_at() -> None:
    async with bench() as b:
        await b.look()
        b.account.groups["DBClusterParameterGroup"][OWN] = {"rds.force_ssl": "0"}
        b.account.fails = lambda operation, _: fault("DBParameterGroupAlreadyExists") if operation[0] == "C" else None
        step = Step("rds", "CreateDBClusterParameterGroup", {"DBClusterParameterGroupName": OWN}, "make group")
        assert await b.act(step) is None
        seen = await b.look()
        assert seen.groups["cluster", OWN].values == {"rds.force_ssl": "0"}
        # AWS says so once more, although the look was fresh: then it is no matter of age.
        with pytest.raises(Trouble):
            await b.act(step)


@virtual
async def test_a_hundred_objects_share_one_catalogue() -> None:
    async with bench() as b:
        b.inventory.watches(KEY, REGION, NAME)
        await asyncio.gather(*(b.observer.observe(b.desired, Memory(), Look()) for _ in range(100)))
        assert b.count("DescribeEngineDefaultClusterParameters", "DescribeEngineDefaultParameters") == 2
        b.inventory.forget(KEY)
        for pause, count in ((86000, 1), (500, 2)):
            await asyncio.sleep(pause)
            await b.observer.catalogue.family(REGION, FAMILY)
            assert b.count("DescribeEngineDefaultClusterParameters") == count


@virtual
async def test_an_endpoint_without_families_is_no_obstacle() -> None:
    async with bench(engine={"type": "AuroraPostgreSQL"}) as b:
        b.account.fails = lambda op, _: (
            Trouble(Meaning.UNKNOWN, Reason.UNAVAILABLE, "no", code=UNSUPPORTED) if "Engine" in op else None
        )
        seen = await b.look()
        assert seen.engine is not None
        assert seen.engine.version == ""
        assert seen.families == {}
        b.operator.change(engine={"type": "AuroraPostgreSQL", "version": "15"})
        seen = await b.look()
        assert not seen.families[FAMILY].known


@virtual
async def test_what_was_made_is_known_without_a_read_and_ours_without_its_tags() -> None:
    async with bench() as b:
        await b.look()
        before, reads = elapsed(), b.count("DescribeDBClusters")
        await b.act(CREATE)
        seen = await b.look()
        assert seen.cluster is not None
        assert seen.cluster.tags == {OWNER_TAG: OWNER}
        assert b.count("DescribeDBClusters") == reads
        assert elapsed() - before < 0.2
        await asyncio.sleep(30)
        seen = await b.look()
        assert seen.cluster is not None
        assert b.memory.made is None


@virtual
async def test_a_change_is_read_back_before_anything_is_decided() -> None:
    async with bench() as b:
        b.account.cluster(NAME, DbClusterResourceId="cluster-1", EngineVersion="15.10", BackupRetentionPeriod=1)
        seen = await b.look()
        assert seen.cluster is not None
        assert seen.cluster.retention_days == 1
        await b.act(MODIFY)
        seen = await b.look()
        assert seen.cluster is not None
        assert seen.cluster.retention_days == 7


@virtual
async def test_groups_are_read_every_eleven_minutes_and_not_after_our_own_writes() -> None:
    async with bench() as b:
        b.account.cluster(NAME, DbClusterResourceId="cluster-1", EngineVersion="15.10")
        b.account.groups["DBClusterParameterGroup"][OWN] = {"rds.force_ssl": "1"}
        for _ in range(30):
            await b.look()
            await asyncio.sleep(10)
        assert b.count("DescribeDBClusterParameters") == 1
        parameters = [{"ParameterName": "work_mem", "ParameterValue": "64"}]
        named = {"DBClusterParameterGroupName": OWN}
        await b.act(Step("rds", "ModifyDBClusterParameterGroup", {**named, "Parameters": parameters}, "set"))
        assert (await b.look()).groups["cluster", OWN].values == {"rds.force_ssl": "1", "work_mem": "64"}
        await b.act(Step("rds", "ResetDBClusterParameterGroup", {**named, "Parameters": parameters}, "reset"))
        assert (await b.look()).groups["cluster", OWN].values == {"rds.force_ssl": "1"}
        assert b.count("DescribeDBClusterParameters") == 1
        await asyncio.sleep(730)
        await b.look()
        assert b.count("DescribeDBClusterParameters") == 2


@virtual
async def test_another_cluster_of_the_same_name_is_read_anew() -> None:
    async with bench() as b:
        b.account.cluster(NAME, DbClusterResourceId="cluster-1", EngineVersion="15.10")
        await b.look()
        b.account.cluster(NAME, DbClusterResourceId="cluster-2", EngineVersion="15.10")
        await asyncio.sleep(6)
        await b.look()
        # Ours, and what an earlier version of Penstock called it.
        assert b.count("DescribeDBClusterParameterGroups") == 2 * 2


@virtual
async def test_a_denied_facet_is_told_and_a_deletion_waits_for_it() -> None:
    async with bench() as b:
        b.account.cluster(NAME, DbClusterResourceId="cluster-1", EngineVersion="15.10")
        b.account.groups["DBClusterParameterGroup"][OWN] = {}
        b.account.fails = lambda op, _: DENIED if op == "DescribeDBClusterParameterGroups" else None
        seen = await b.look()
        assert seen.unread == ((Reason.ACCESS_DENIED, DENIED.sentence),)
        assert ("cluster", OWN) not in seen.groups
        b.account.clusters.clear()
        b.operator.absent = True
        await asyncio.sleep(6)
        with pytest.raises(Trouble):
            await b.look()


@virtual
async def test_a_facet_that_fails_is_done_without_after_three_passes() -> None:
    async with bench() as b:
        b.account.cluster(NAME, DbClusterResourceId="cluster-1", EngineVersion="15.10")
        b.account.groups["DBClusterParameterGroup"][OWN] = {}
        b.account.fails = lambda op, _: LOST if op == "DescribeDBClusterParameterGroups" else None
        for _ in range(2):
            with pytest.raises(Trouble):
                await b.look()
        assert (await b.look()).unread == ((Reason.UNAVAILABLE, LOST.sentence),)


@virtual
async def test_a_deletion_finds_the_groups_of_every_version_and_no_others() -> None:
    async with bench() as b:
        b.operator.absent = True
        ours = {OWN: {}, OWN.replace("15", "17"): {}}
        others = {f"penstock-{NAME}-two-{FAMILY}": {}, "default.aurora-postgresql15": {}}
        b.account.groups["DBClusterParameterGroup"] = {**ours, **others}
        b.account.groups["DBParameterGroup"] = {OWN: {}}
        seen = await b.look()
        assert set(seen.groups) == {("cluster", name) for name in ours} | {("instance", OWN)}
        step = Step("rds", "DeleteDBClusterParameterGroup", {"DBClusterParameterGroupName": OWN}, "delete")
        await b.act(step)
        seen = await b.look()
        assert seen.groups["cluster", OWN].group is None
        assert seen.groups["instance", OWN].group is not None


@virtual
async def test_a_creation_whose_answer_was_lost_is_waited_for_by_a_deletion() -> None:
    async with bench() as b:
        await b.look()
        b.account.fails = lambda op, _: LOST if op == "CreateDBCluster" else None
        b.account.answers["CreateDBCluster"] = {}
        with pytest.raises(Trouble):
            await b.act(CREATE)
        b.operator.absent = True
        with pytest.raises(Trouble) as met:
            await b.look()
        assert met.value.meaning is Meaning.BUSY
        await asyncio.sleep(21)
        assert (await b.look()).cluster is None


@virtual
async def test_a_transition_hurries_the_reads_and_peace_ends_it() -> None:
    async with bench() as b:
        b.account.cluster(NAME, DbClusterResourceId="cluster-1", EngineVersion="15.10", Status="upgrading")
        await b.look()
        begin = elapsed()
        await asyncio.sleep(60)
        assert b.account.count("DescribeDBClusters", begin) >= 25
        b.account.clusters[NAME]["Status"] = "available"
        await asyncio.sleep(5)
        await b.look()
        begin = elapsed()
        await asyncio.sleep(60)
        assert b.account.count("DescribeDBClusters", begin) <= 14


# The password


@virtual
async def test_the_password_is_read_judged_and_never_shown() -> None:
    async with bench(**SECRET) as b:
        seen = await b.look()
        assert seen.password is not None
        assert "does not exist in namespace shop" in seen.password.problem
        for bad, words in [
            (None, "has no key password"),
            ("short", "a length that AWS refuses"),
            ("with space1", "spaces"),
        ]:
            b.secret(bad)
            await asyncio.sleep(10)
            seen = await b.look()
            assert seen.password is not None
            assert words in seen.password.problem
        b.secret("correct-horse\n")
        assert "line break" in (await b.look(fresh=True)).password.problem  # type: ignore[union-attr]
        b.secret("correct-horse")
        seen = await b.look(fresh=True)
        assert seen.password is not None
        assert not seen.password.problem
        assert not seen.password.same
        assert "correct-horse" not in repr(b.memory) + repr(seen)


@virtual
async def test_the_password_goes_to_aws_and_only_another_content_is_a_rotation() -> None:
    async with bench(**SECRET) as b:
        b.secret("correct-horse")
        await b.look()
        step = replace(CREATE, parameters={**CREATE.parameters, "MasterUserPassword": PASSWORD})
        await b.act(step)
        assert b.account.asked("CreateDBCluster")[0]["MasterUserPassword"] == "correct-horse"
        assert (await b.look()).password.same  # type: ignore[union-attr]
        b.secret("correct-horse", annotations={"a": "b"})
        await asyncio.sleep(10)
        first = (await b.look()).password
        assert first is not None
        assert first.same
        b.secret("battery-staple")
        await asyncio.sleep(10)
        second = (await b.look()).password
        assert second is not None
        assert second.version != first.version
        assert not second.same


@virtual
async def test_another_process_knows_by_the_status_which_content_was_given() -> None:
    async with bench(**SECRET) as b:
        b.secret("correct-horse")
        given = (await b.look()).password
        assert given is not None
        b.operator.status = {"credentials": {"secretVersion": given.version}}
        b.memory = Memory()
        assert (await b.look()).password.same  # type: ignore[union-attr]
        b.secret("correct-horse", annotations={"a": "b"})
        await asyncio.sleep(10)
        assert (await b.look()).password.same  # type: ignore[union-attr]


@virtual
async def test_what_aws_says_of_the_password_does_not_hold_it() -> None:
    async with bench(**SECRET) as b:
        b.secret("correct-horse")
        await b.look()
        words = "The parameter MasterUserPassword correct-horse is not valid"
        b.account.fails = lambda op, _: fault("InvalidParameterValue", words) if op == "ModifyDBCluster" else None
        step = replace(MODIFY, parameters={**MODIFY.parameters, "MasterUserPassword": PASSWORD})
        with pytest.raises(Trouble) as met:
            await b.act(step)
        assert met.value.reason == Reason.SECRET_INVALID
        assert "Secret master" in met.value.sentence
        assert "correct-horse" not in met.value.sentence + repr(b.memory.held)


# Refusals


@pytest.mark.parametrize(
    ("operation", "parameters", "code", "words", "reason", "says"),
    [
        (
            "CreateDBInstance",
            {},
            "InstanceQuotaExceeded",
            "",
            "LimitReached",
            '"DB instances" of Amazon RDS in us-east-1',
        ),
        ("CreateDBCluster", {}, "DBClusterQuotaExceededFault", "", "LimitReached", '"DB clusters"'),
        (
            "CreateDBInstance",
            {"DBInstanceClass": "db.r6g.large", "AvailabilityZone": "us-east-1c"},
            "InsufficientDBInstanceCapacity",
            "",
            "Unavailable",
            "no capacity for db.r6g.large in us-east-1c",
        ),
        (
            "CreateDBInstance",
            {"DBInstanceClass": "db.r9g.large"},
            "InvalidParameterCombination",
            "RDS does not support creating a DB instance with the following combination",
            "Invalid",
            "write another spec.instances.class",
        ),
        ("CreateDBSubnetGroup", {}, "InvalidSubnet", "", "WaitingForDependency", "in one VPC"),
        ("CreateDBSubnetGroup", {}, "DBSubnetGroupDoesNotCoverEnoughAZs", "", "Invalid", "two zones or more"),
        (
            "CreateDBCluster",
            {"KmsKeyId": "alias/none"},
            "KMSKeyNotAccessibleFault",
            "",
            "WaitingForDependency",
            "alias/none (spec.encryption.kmsKey)",
        ),
        (
            "CreateDBCluster",
            {"VpcSecurityGroupIds": ["sg-none"]},
            "InvalidParameterValue",
            "Invalid security group , groupId= sg-none",
            "WaitingForDependency",
            "securityGroupIds (sg-none)",
        ),
        (
            "RestoreDBClusterFromSnapshot",
            {"SnapshotIdentifier": "last"},
            "DBClusterSnapshotNotFoundFault",
            "",
            "WaitingForDependency",
            "no snapshot last to restore from",
        ),
        (
            "CreateDBCluster",
            {"EngineVersion": "15.99"},
            "InvalidParameterCombination",
            "Cannot find version 15.99 for aurora-postgresql",
            "Invalid",
            "does not offer version 15.99",
        ),
        (
            "CreateDBCluster",
            {"DBSubnetGroupName": "nobodys"},
            "DBSubnetGroupNotFoundFault",
            "",
            "WaitingForDependency",
            "no subnet group nobodys",
        ),
        (
            "DeleteDBCluster",
            {},
            "InvalidParameterCombination",
            "Cannot delete protected Cluster",
            "DeletionProtected",
            "",
        ),
    ],
)
def test_a_refusal_says_what_to_write(
    operation: str, parameters: dict[str, Any], code: str, words: str, reason: str, says: str
) -> None:
    @virtual
    async def scenario() -> None:
        async with bench() as b:
            b.account.fails = lambda op, _: fault(code, words or "no") if op == operation else None
            b.account.answers[operation] = {}
            step = Step("rds", operation, {"DBClusterIdentifier": NAME, **parameters}, "it")
            with pytest.raises(Trouble) as met:
                await b.act(step)
            assert met.value.reason == reason
            assert says in met.value.sentence
            assert b.memory.held[step.id].sentence == met.value.sentence

    scenario()


@virtual
async def test_deleting_what_is_going_already_is_no_trouble() -> None:
    async with bench() as b:
        b.account.answers["DeleteDBInstance"] = {}
        busy = fault("InvalidDBInstanceState", "Instance is already being deleted.", Meaning.BUSY)
        b.account.fails = lambda op, _: busy if op == "DeleteDBInstance" else None
        step = Step("rds", "DeleteDBInstance", {"DBInstanceIdentifier": f"{NAME}-1"}, "delete")
        assert await b.act(step) is None
        assert b.memory.must_look


@virtual
async def test_reads_of_an_object_that_waits_in_the_background_stay_there() -> None:
    async with bench() as b:
        b.account.cluster(NAME, DbClusterResourceId="cluster-1", EngineVersion="15.10")
        await b.look(priority=Priority.BACKGROUND)
        of_groups = [p for _, name, *_, p in b.account.calls if name == "DescribeDBClusterParameterGroups"]
        assert of_groups == [Priority.BACKGROUND] * 2


def test_groups_are_read_the_more_rarely_the_more_clusters_share_the_account() -> None:
    assert cycle(1) == 660
    for count in (1, 4, 10, 100, 1000):
        reads_an_hour = count * 5 * 3600 / cycle(count)
        assert reads_an_hour <= 66, count
