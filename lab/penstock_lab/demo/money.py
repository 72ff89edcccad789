"""The chapter on money: a budget, the shape that breaks it, and the one that fits."""

from __future__ import annotations

from . import objects
from .stage import Stage

SAMPLES = "manifests/samples"


def budget(stage: Stage) -> None:
    """The naive lab is held with the sum, and the one that sleeps when nobody works is made."""
    stage.say("A lab may cost $80 a month, $20 of it for storage. Two instances that always run are more than that.")
    stage.shell(f"kubectl apply -f {SAMPLES}/lab-budget.yaml -f {SAMPLES}/lab-naive.yaml")
    held = stage.until("it is held", lambda: _within(stage, "lab-naive", "False"), 20)
    stage.note(held.get("message", ""))
    stage.holds(
        "the sentence has the sum and the command that lets it pass",
        "allows $80.00 a month and this would bring it to $114.21" in held["message"] and "approve=" in held["message"],
        held,
    )
    stage.shell("kubectl get aurora lab-naive")
    plan = objects.status(stage, "aurora", "lab-naive")["plan"]
    stage.holds("its plan stands there, with what each step adds", "+$53.29/month" in str(plan["steps"]), plan)
    stage.holds("nothing of it is in AWS, and nothing was asked of AWS for it", not objects.calls(stage, "lab-naive"))
    stage.say("The same lab, asleep outside working hours: a writer and a reader in two zones.")
    stage.shell(f"kubectl apply -f {SAMPLES}/lab-ledger.yaml")
    stage.until("it is let through", lambda: _within(stage, "lab-ledger", "True"), 20)
    stage.until(
        "AWS makes it", lambda: (any(c[0] == "CreateDBInstance" for c in objects.calls(stage, "lab-ledger")), ""), 30
    )
    stage.until(
        "the budget counts it, and says who waits",
        lambda: (
            (s := objects.status(stage, "budget", "lab")).get("spending", {}).get("estimate") == "48.86"
            and s.get("holding") == ["AuroraCluster/lab-naive"],
            s,
        ),
        20,
    )
    stage.shell("kubectl get budget")
    stage.shell("kubectl delete aurora lab-naive lab-ledger --wait=false; kubectl delete budget lab")


def _within(stage: Stage, name: str, status: str) -> tuple[bool, dict[str, str]]:
    told = objects.condition(stage, "aurora", name, "WithinBudget")
    return told.get("status") == status, told
