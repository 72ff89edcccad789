"""The webhook's answers to reviews, whole ones and odd ones; the real API server asks it in tests/lab/test_admission_webhook.py."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.admission import review


def asked(**request: Any) -> dict[str, Any]:
    whole = {
        "uid": "u1",
        "kind": {"group": "penstock.dev", "version": "v1alpha1", "kind": "DynamoTable"},
        "operation": "CREATE",
        "namespace": "shop",
        "object": {"metadata": {"name": "orders"}, "spec": {}},
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {**whole, **request}}


def test_a_creation_that_breaks_a_budget_is_refused_with_the_sentence() -> None:
    seen: list[tuple[str, Any]] = []

    def judge(kind: str, obj: dict[str, Any]) -> str:
        seen.append((kind, obj["metadata"]))
        return "too dear"

    answer = review(asked(), judge)
    assert answer["apiVersion"] == "admission.k8s.io/v1"
    assert answer["response"] == {
        "uid": "u1",
        "allowed": False,
        "status": {"code": 403, "reason": "Forbidden", "message": "too dear"},
    }
    assert seen == [("DynamoTable", {"name": "orders", "namespace": "shop"})]


@pytest.mark.parametrize("request_", [{"operation": "UPDATE"}, {"operation": "DELETE", "object": None}, {"object": []}])
def test_all_but_creations_are_let_through_unasked(request_: dict[str, Any]) -> None:
    assert review(asked(**request_), lambda kind, obj: "too dear")["response"] == {"uid": "u1", "allowed": True}


def test_what_cannot_be_judged_is_let_through() -> None:
    def judge(kind: str, obj: dict[str, Any]) -> str:
        raise KeyError("a defect")

    assert review(asked(), judge)["response"]["allowed"] is True


def test_a_name_that_is_still_to_be_made_is_none() -> None:
    names: list[str] = []
    review(
        asked(object={"metadata": {"generateName": "t-"}}),
        lambda kind, obj: names.append(obj["metadata"]["name"]) or "",
    )
    assert names == ["t-"]


@pytest.mark.parametrize("body", [None, [], {}, {"request": 3}, {"request": {}}, {"request": {"uid": 1}}])
def test_what_is_no_review_is_refused(body: Any) -> None:
    with pytest.raises(ValueError, match="no AdmissionReview"):
        review(body, lambda kind, obj: "")
