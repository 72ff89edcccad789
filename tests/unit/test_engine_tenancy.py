"""Which resources of the account a namespace may take over or restore from, as a table."""

from __future__ import annotations

import pytest

from penstock.engine.tenancy import AdoptionRule, Source, Tenancy, adoption_rules

OWNER = "cluster-1/shop/AuroraCluster/ledger/uid-1"
RULES = (AdoptionRule(("shop", "team-*"), ("shop-*",)),)

ALLOWED = {
    "nobody's": ("ledger", {}, False),
    "offered to the namespace": ("ledger", {"penstock.dev/adoptable-by": "shop"}, True),
    "offered to the object": ("ledger", {"penstock.dev/adoptable-by": "shop/ledger"}, True),
    "offered to several": ("ledger", {"penstock.dev/adoptable-by": "web shop"}, True),
    "offered to another namespace": ("ledger", {"penstock.dev/adoptable-by": "web"}, False),
    "offered to another object": ("ledger", {"penstock.dev/adoptable-by": "shop/other"}, False),
    "a name that begins alike": ("ledger", {"penstock.dev/adoptable-by": "shop-web"}, False),
    "of another object of the namespace": ("ledger", {"penstock.dev/owner": "cluster-1/shop/A/b/c"}, True),
    "of another namespace": ("ledger", {"penstock.dev/owner": "cluster-1/web/A/b/c"}, False),
    "of that namespace of another cluster": ("ledger", {"penstock.dev/owner": "cluster-2/shop/A/b/c"}, False),
    "of a rule": ("shop-ledger", {}, True),
    "of no rule": ("web-ledger", {}, False),
    "an odd owner": ("ledger", {"penstock.dev/owner": "x"}, False),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_who_may(name: str) -> None:
    resource, tags, allowed = ALLOWED[name]
    source = Source("cluster", resource, tags, "aws rds add-tags-to-resource --resource-name arn --tags")
    refusal = Tenancy(adoption=RULES).refusal(OWNER, source, "take over")
    assert (refusal is None) == allowed
    if refusal is not None:
        assert "Key=penstock.dev/adoptable-by,Value=shop)" in refusal.sentence
        assert refusal.reason == "Forbidden"
    assert (Tenancy(adoption=RULES, enforced=False).note(OWNER, source, "take over") == "") == allowed


def test_a_cluster_name_with_slashes_shifts_nothing() -> None:
    tags = {"penstock.dev/owner": "eu/shop/web/A/b/c"}
    assert Tenancy().refusal("eu/shop/AuroraCluster/ledger/uid-1", Source("cluster", "x", tags), "take over")


def test_a_rule_that_is_none_is_refused() -> None:
    assert adoption_rules('[{"namespaces": ["*"], "names": ["a"]}]') == (AdoptionRule(("*",), ("a",)),)
    for text in ("", "{}", '[{"namespaces": ["a"]}]', '[{"namespaces": ["a"], "names": ["b"], "name": "c"}]'):
        with pytest.raises(ValueError, match="validation error"):
            adoption_rules(text)


def test_regions() -> None:
    assert Tenancy(("us-east-1",)).region_problems("us-east-1") == []
    assert Tenancy().region_problems("eu-west-1") == []
    (problem,) = Tenancy(("us-east-1", "us-west-2")).region_problems("eu-west-1")
    assert (
        str(problem) == "spec.region: eu-west-1 is not allowed here: write one of us-east-1, us-west-2, or leave it out"
    )
