"""Which plans budgets let through, and which steps of the others wait: over tables, and over random plans."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.conditions import Reason
from penstock.budget.hold import Position, Room, Subject, judge
from penstock.engine.money import Money
from penstock.engine.plan import Effect, Plan, Step, When

D = Decimal
LAB = Room("lab", D(80), D(20))
WHO = Subject("AuroraCluster/shop/ledger", "kubectl annotate auroracluster ledger")


def step(name: str, adds: str | None, **about: object) -> Step:
    return Step("rds", name, {}, name, cost_delta=None if adds is None else D(adds), **about)  # type: ignore[arg-type]


NAIVE = Plan((step("group", "0"), step("cluster", "1.00"), step("one", "53.29"), step("two", "53.29")))
NAIVE_COSTS = Money(D("107.58"), "Estimate", D("1.00"))


def new(**about: object) -> Subject:
    return Subject(WHO.who, WHO.command, new=True, **about)  # type: ignore[arg-type]


def waiting(plan: Plan) -> list[str]:
    return [s.summary for s in plan.steps if s.when is When.AFTER_CONSENT]


def test_a_creation_that_breaks_the_limit_is_kept_back_whole() -> None:
    verdict = judge(new(), NAIVE, NAIVE_COSTS, Position(), [LAB])
    assert waiting(verdict.plan) == ["group", "cluster", "one", "two"], "nothing of it is begun"
    assert verdict.plan.runnable == ()
    (refusal,) = verdict.plan.refusals
    assert refusal.reason == Reason.OVER_BUDGET
    assert "CostBudget lab allows $80.00 a month and this would bring it to $107.58: $0.00 is there" in refusal.sentence
    assert verdict.position == Position(kept=D("107.58"), more_storage=D("1.00"))
    assert f"penstock.dev/approve={verdict.plan.hash} " in refusal.sentence, "one hash for all of its steps"


def test_what_fits_to_the_cent_passes() -> None:
    room = Room("lab", D("107.58"), None)
    verdict = judge(new(), NAIVE, NAIVE_COSTS, Position(), [room])
    assert verdict.plan == NAIVE
    assert verdict.position.monthly == D("107.58")
    assert judge(new(), NAIVE, NAIVE_COSTS, Position(), [Room("lab", D("107.57"), None)]).plan.refusals


def test_what_others_cost_counts() -> None:
    small = Plan((step("table", "30"),))
    costs = Money(D(30), "Estimate")
    assert not judge(new(), small, costs, Position(), [Room("lab", D(80), None, others=D(50))]).plan.refusals
    refused = judge(new(), small, costs, Position(), [Room("lab", D(80), None, others=D("50.01"))])
    assert "bring it to $80.01: $50.01 is there and this adds $30.00" in refused.sentence


def test_an_approval_lets_this_price_pass_and_no_other() -> None:
    token = judge(new(), NAIVE, NAIVE_COSTS, Position(), [LAB]).plan.hash
    approved = new(approved=token)
    passed = judge(approved, NAIVE, NAIVE_COSTS, Position(), [LAB])
    assert passed.plan == NAIVE
    assert passed.position.monthly == D("107.58")
    dearer = Plan((*NAIVE.steps, step("three", "53.29")))
    assert judge(approved, dearer, Money(D("160.87"), "Estimate"), Position(), [LAB]).plan.refusals
    cents = Money(D("107.60"), "Estimate", D("1.02"))
    grown = Plan((*NAIVE.steps[:1], step("cluster", "1.02"), *NAIVE.steps[2:]))
    assert not judge(approved, grown, cents, Position(), [LAB]).plan.refusals, "sizes move by cents"
    assert judge(new(approved="000000000000"), NAIVE, NAIVE_COSTS, Position(), [LAB]).plan.refusals


def test_what_was_let_through_is_carried_on_when_the_limit_falls() -> None:
    left = Plan((step("two", "53.29"),))
    verdict = judge(WHO, left, NAIVE_COSTS, Position(D("107.58"), D(1)), [Room("lab", D(10), None)])
    assert verdict.plan == left
    # Between two rounds of the pass that makes it, nothing of it is told yet.
    assert judge(new(), NAIVE, NAIVE_COSTS, Position(D("107.58"), D(1)), [Room("lab", D(10), None)]).plan == NAIVE


def test_what_somebody_deleted_is_made_again_and_what_is_more_waits() -> None:
    both = Plan((step("one again", "53.29"), step("two", "53.29"), step("tag", "0")))
    verdict = judge(WHO, both, Money(D("106.58"), "Estimate"), Position(D("53.29")), [LAB])
    assert waiting(verdict.plan) == ["two"]
    assert [s.summary for s in verdict.plan.runnable] == ["one again", "tag"]
    assert verdict.position.monthly == D("53.29")
    assert verdict.position.kept == D("53.29")


def test_an_enlargement_waits_and_what_costs_nothing_or_less_goes_on() -> None:
    plan = Plan(
        (
            step("remove an index", "-5", effect=Effect.DESTROY),
            step("tag", "0"),
            step("move the writer", "0", effect=Effect.FAILOVER),
            step("larger", "100", effect=Effect.RESTART, when=When.MAINTENANCE_WINDOW),
        )
    )
    verdict = judge(WHO, plan, Money(D(148), "Estimate"), Position(D(53)), [LAB])
    assert waiting(verdict.plan) == ["move the writer", "larger"], "no failover for what does not follow"
    assert [s.summary for s in verdict.plan.runnable] == ["remove an index", "tag"]


def test_a_start_of_what_is_stopped_is_nothing_new() -> None:
    plan = Plan((Step("rds", "StartDBCluster", {}, "start", cost_delta=D(107)),))
    assert judge(WHO, plan, Money(D(108), "Estimate"), Position(D(1)), [LAB]).plan == plan


def test_storage_has_a_limit_of_its_own() -> None:
    plan = Plan((step("cluster", "25"),))
    verdict = judge(new(), plan, Money(D(25), "Estimate", storage=D(25)), Position(), [LAB])
    assert "allows $20.00 a month for storage and this would bring it to $25.00" in verdict.sentence
    grows = Plan((step("tag", "0"),))
    grown = judge(WHO, grows, Money(D(30), "Estimate", storage=D(25)), Position(D(24), D(19)), [LAB])
    assert grown.plan == grows, "data that grew is nothing that could be kept back"
    assert grown.position.storage == D(25)


@pytest.mark.parametrize("missing", [("one: no price",), ()])
def test_what_has_no_known_price_cannot_be_shown_to_fit(missing: tuple[str, ...]) -> None:
    plan = Plan((step("one", None),))
    verdict = judge(new(), plan, Money(None, "Partial", missing=missing), Position(), [LAB])
    assert "keeps back what cannot be shown to fit" in verdict.sentence
    assert judge(new(), plan, Money(None, "Partial", missing=missing), Position(), []).plan == plan
    gone = Plan((step("remove", None, effect=Effect.DESTROY),))
    assert judge(WHO, gone, Money(D(5), "Partial", missing=("x",)), Position(D(9)), [LAB]).plan == gone


def test_an_actual_cost_above_the_estimate_counts() -> None:
    busy = judge(WHO, Plan(), Money(D(1), "Estimate", actual=D(70)), Position(), [LAB]).position
    assert busy.counted == D(70)
    plan = Plan((step("more", "20"),))
    refused = judge(WHO, plan, Money(D(21), "Estimate", actual=D(90)), busy, [LAB])
    assert "$90.00" in refused.sentence


def test_a_plan_that_is_only_shown_sets_nothing_aside() -> None:
    shown = judge(new(acting=False), Plan((step("table", "30"),)), Money(D(30), "Estimate"), Position(), [LAB])
    assert not shown.plan.refusals
    assert shown.position.monthly == 0


AMOUNTS = st.decimals(-100, 100, places=2)


@given(
    st.lists(st.tuples(AMOUNTS, st.sampled_from(Effect)), max_size=6),
    st.decimals(0, 300, places=2),
    st.decimals(0, 300, places=2),
    st.decimals(1, 400, places=2),
    st.decimals(0, 300, places=2),
    st.booleans(),
)
def test_a_budget_never_breaks_by_a_plan_and_never_stops_what_saves(
    steps: list[tuple[Decimal, Effect]], runs: Decimal, before: Decimal, limit: Decimal, others: Decimal, is_new: bool
) -> None:
    plan = Plan(tuple(step(f"step {n}", str(a), effect=e) for n, (a, e) in enumerate(steps)))
    adds = sum((a for a, _ in steps), D(0))
    runs = D(0) if is_new else runs
    target = runs + adds
    if target < 0:
        return
    subject = Subject(WHO.who, WHO.command, new=is_new)
    start = Position() if is_new else Position(before)
    verdict = judge(subject, plan, Money(target, "Estimate"), start, [Room("b", limit, None, others=others)])
    after = [s for s in verdict.plan.steps if s.when is When.NOW]
    cost, most = runs, runs
    for one in after:
        cost += one.cost_delta or D(0)
        most = max(most, cost)
    allowed = max(start.monthly, runs)
    if others + target > limit + D("0.005") and target > allowed + D("0.005"):
        assert most <= allowed + D("0.005"), "what runs of the plan costs no more than was allowed already"
        assert verdict.position.monthly <= allowed + D("0.005")
    else:
        assert verdict.plan == plan
    if not is_new:
        saving = [s.summary for s in plan.steps if s.cost_delta is not None and s.cost_delta < 0]
        assert set(saving) <= {s.summary for s in after}
    assert [s.summary for s in verdict.plan.steps] == [s.summary for s in plan.steps]
