"""Hypothesis strategies for the spec of a DynamoTable, and how many examples are tried."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# How many examples hypothesis tries, as a multiple of what a quick run takes.
EFFORT = float(os.environ.get("PENSTOCK_TEST_EFFORT", "1"))
TABLE_KEY = {"partition": {"name": "pk", "type": "String"}, "sort": {"name": "sk", "type": "Number"}}


def examples(count: int) -> settings:
    """So many examples in a quick run."""
    return settings(
        deadline=None,
        max_examples=max(5, int(count * EFFORT)),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


UNITS = st.integers(1, 40)
CAPS = st.one_of(st.none(), st.just(-1), st.integers(1, 9000))


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object without the fields that come out as None."""
    return st.fixed_dictionaries(fields).map(lambda d: {k: v for k, v in d.items() if v is not None})


FIXED = UNITS.map(lambda n: {"units": n})
SCALED = st.tuples(UNITS, UNITS, st.one_of(st.none(), st.integers(20, 90))).map(
    lambda t: {"min": min(t[:2]), "max": max(t[:2]), **({"targetUtilization": t[2]} if t[2] else {})}
)
THROUGHPUT = st.one_of(FIXED, SCALED)
ON_DEMAND_CAPS = _some(maxReadUnits=CAPS, maxWriteUnits=CAPS)
PROVISIONED_UNITS = st.fixed_dictionaries({"read": THROUGHPUT, "write": THROUGHPUT})
WARM = st.one_of(
    st.none(),
    st.just({"readUnits": 13000}),
    st.just({"writeUnits": 5000}),
    st.just({"readUnits": 20000, "writeUnits": 9000}),
)
PROJECTION = st.one_of(
    st.just({"type": "All"}),
    st.just({"type": "KeysOnly"}),
    st.lists(st.sampled_from(["n1", "n2", "n3"]), min_size=1, unique=True).map(
        lambda names: {"type": "Include", "attributes": names}
    ),
)
TAGS = st.dictionaries(st.sampled_from(["team", "env", "cost", "stage"]), st.sampled_from(["a", "b", ""]))
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": "*"}],
}


@st.composite
def indexes(draw: st.DrawFn, mode: str | None) -> list[dict[str, Any]]:
    types = {"a0": "String", "a1": "Number", "a2": "Binary", "pk": "String"}
    found = []
    for name in draw(st.lists(st.sampled_from(["ix-a", "ix-b", "ix-c", "ix-d"]), max_size=3, unique=True)):
        names = draw(st.lists(st.sampled_from(sorted(types)), min_size=1, max_size=2, unique=True))
        keys = [{"name": n, "type": types[n]} for n in names]
        index: dict[str, Any] = {"name": name, "partition": keys[0], "projection": draw(PROJECTION)}
        if len(keys) > 1:
            index["sort"] = keys[1]
        if mode == "Provisioned":
            index["capacity"] = draw(PROVISIONED_UNITS)
        elif mode == "OnDemand" and draw(st.booleans()):
            index["capacity"] = draw(ON_DEMAND_CAPS)
        warm, insights = draw(WARM), draw(st.sampled_from([None, None, True, False]))
        index |= {"warmThroughput": warm} if warm else {}
        index |= {} if insights is None else {"contributorInsights": insights}
        found.append(index)
    return found


@st.composite
def specs(draw: st.DrawFn, **fixed: Any) -> dict[str, Any]:
    """A good spec; fixed: fields that are as given."""
    mode = draw(st.sampled_from([None, "OnDemand", "Provisioned"]))
    capacity = None
    if mode is not None:
        capacity = {"mode": mode, **draw(ON_DEMAND_CAPS if mode == "OnDemand" else PROVISIONED_UNITS)}
    maybe = st.sampled_from([None, True, False])
    spec = {
        "key": TABLE_KEY,
        "capacity": capacity,
        "globalIndexes": draw(st.one_of(st.none(), indexes(mode))),
        "deletionProtection": draw(maybe),
        "tableClass": draw(st.sampled_from([None, "Standard", "StandardInfrequentAccess"])),
        "contributorInsights": draw(maybe),
        "warmThroughput": draw(WARM),
        "ttl": draw(
            st.sampled_from([None, {"attribute": "exp"}, {"attribute": "due"}, {"attribute": "exp", "enabled": False}])
        ),
        "stream": draw(st.sampled_from([None, {"view": "NewImage"}, {"view": "KeysOnly"}, {"enabled": False}])),
        "pointInTimeRecovery": draw(st.sampled_from([None, {}, {"days": 7}, {"days": 35}, {"enabled": False}])),
        "encryption": draw(st.sampled_from([None, {}, {"kmsKey": "alias/orders"}, {"kmsKey": "alias/aws/dynamodb"}])),
        "resourcePolicy": draw(st.sampled_from([None, {}, POLICY])),
        "tags": draw(st.one_of(st.none(), TAGS)),
        **fixed,
    }
    return {k: v for k, v in spec.items() if v is not None}
