"""Adoption, attribute by attribute: of a random table taken over by a random manifest, what the manifest does not name is as before."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from dynamo_model import Aws, Table
from dynamo_specs import examples, specs
from dynamo_world import Operator, manifest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.dynamotable import DynamoTableSpec
from penstock.api.meta import OWNER_TAG

# Of the model alone: what time it is, and what is still to come.
_MODEL = ("ends", "ttl_changed", "decreases", "on_demand_since", "status")
_POLICY = "DynamoDBReadCapacityUtilization:table/orders"
THEIRS = {"TargetValue": 9.0, "CustomizedMetricSpecification": {"MetricName": "queue"}}


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every attribute with its path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{path}/{'|'.join(key) if isinstance(key, tuple) else key}")
    elif hasattr(value, "__dataclass_fields__"):
        yield from flat({k: v for k, v in vars(value).items() if k not in _MODEL}, path)
    elif isinstance(value, tuple):
        yield from flat(dict(enumerate(value)), path)
    else:
        yield path, value


def attributes(aws: Aws, table: Table) -> dict[str, Any]:
    return copy.deepcopy(dict(flat({"table": table, "targets": aws.targets, "backups": aws.backups})))


def named(spec: DynamoTableSpec, before: Table) -> list[str]:
    """Prefixes of the paths that the manifest names, and of what AWS changes with them."""
    found = [f"/table/tags/{OWNER_TAG}", *(f"/table/tags/{k}" for k in spec.tags or ())]
    fields = {
        "deletion_protection": ["protected"],
        "table_class": ["table_class"],
        "stream": ["stream", "streams"],
        "encryption": ["key"],
        "resource_policy": ["policy"],
        "warm_throughput": ["warm"],
        "ttl": ["ttl", "ttl_status"],
    }
    found += [f"/table/{p}" for name, paths in fields.items() if getattr(spec, name) is not None for p in paths]
    recovery = spec.point_in_time_recovery
    if recovery is not None:
        # Turned on, AWS chooses the days where nobody does.
        days = recovery.days is not None or recovery.enabled != before.pitr
        found += ["/table/pitr", *(["/table/pitr_days"] if days else [])]
    if spec.contributor_insights is not None:
        found.append("/table/insights/")
    found += _named_capacity(spec, before)
    for index in spec.global_indexes or ():
        found += [f"/table/indexes/{index.name}/", f"/table/types/{index.partition.name}"]
        found += [f"/table/types/{index.sort.name}"] if index.sort else []
        old = before.indexes.get(index.name)
        # A replaced index takes the types of its old key along.
        found += [f"/table/types/{e['AttributeName']}" for e in old.schema] if old else []
        if index.contributor_insights is not None:
            found.append(f"/table/insights/{index.name}")
    return found


def _named_capacity(spec: DynamoTableSpec, before: Table) -> list[str]:
    capacity = spec.capacity
    if capacity is None:
        return []
    provisioned = capacity.mode == "Provisioned"
    if provisioned != (before.billing == "PROVISIONED"):
        # AWS gives the table and each of its indexes other throughput with the switch.
        found = ["/table/billing", "/table/units", "/table/caps"]
        found += [f"/table/indexes/{n}/{w}" for n in before.indexes for w in ("units", "caps")]
    else:
        found = []
    if not provisioned:
        caps = (capacity.max_read_units, capacity.max_write_units)
        return [*found, *(f"/table/caps/{n}" for n, cap in enumerate(caps) if cap is not None)]
    holders: list[tuple[str, str, Any]] = [("table/orders", "table", capacity)]
    holders += [(f"table/orders/index/{i.name}", "index", i.capacity) for i in spec.global_indexes or () if i.capacity]
    for resource, scope, one in holders:
        for number, (direction, throughput) in enumerate((("Read", one.read), ("Write", one.write))):
            target = f"/targets/{resource}|dynamodb:{scope}:{direction}CapacityUnits"
            if throughput.min is None:
                found.append(f"/table/units/{number}") if scope == "table" else None
                continue
            found += [f"{target}/MinCapacity", f"{target}/MaxCapacity", f"{target}/policies/penstock-target-tracking"]
            if throughput.target_utilization is not None:
                found.append(f"{target}/policies/{_POLICY}/TargetValue")
    return found


@st.composite
def extras(draw: st.DrawFn) -> dict[str, Any]:
    """Autoscaling as people set it up: the console's policy, one of their own, a scheduled action."""
    metric = {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"}
    tracking = {
        "TargetValue": 50.0,
        "PredefinedMetricSpecification": metric,
        "ScaleInCooldown": 45,
        "DisableScaleIn": True,
    }
    policies = {
        **({_POLICY: tracking} if draw(st.booleans()) else {}),
        **({"own": THEIRS} if draw(st.booleans()) else {}),
    }
    return {
        "MinCapacity": 2,
        "MaxCapacity": 20,
        "policies": policies,
        "scheduled": draw(st.sampled_from([[], ["night"]])),
    }


@given(specs(), specs(adopt=True), extras())
@examples(30)
def test_what_the_manifest_does_not_name_is_as_before(
    theirs: dict[str, Any], ours: dict[str, Any], target: dict[str, Any]
) -> None:
    aws = Aws()
    aws.keys = {"alias/orders": "Enabled", "alias/aws/dynamodb": "Enabled"}
    maker = Operator(aws, manifest(theirs), uid="another")
    maker.converge()
    aws.advance(7200)
    aws.settle()
    maker.table.tags = {"their-tag": "x", "team": "theirs"}
    aws.targets.clear()
    if maker.table.billing == "PROVISIONED":
        aws.targets["table/orders", "dynamodb:table:ReadCapacityUnits"] = target
    operator = Operator(aws, manifest(ours))
    table, before = copy.deepcopy(operator.table), attributes(aws, operator.table)
    for _ in range(16):
        operator.one_pass()
        aws.advance(300)
    after = attributes(aws, operator.table)
    prefixes = tuple(named(operator.spec, table))
    changed = {
        path: (before.get(path), after.get(path))
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path) and not path.startswith(prefixes)
    }
    assert changed == {}
    assert operator.look()[2].runnable == (), "it comes to an end"
    assert after[f"/table/tags/{OWNER_TAG}"] == operator.owner
