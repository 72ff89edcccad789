"""The webhook's answers to reviews, whole ones and odd ones; the real API server asks it in tests/lab/test_admission_webhook.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from virtual_time import elapsed, virtual

from penstock.admission import review
from penstock.engine.kube import KubeError


async def too_dear(kind: str, obj: dict[str, Any]) -> str:
    return "too dear"


def asked(**request: Any) -> dict[str, Any]:
    whole = {
        "uid": "u1",
        "kind": {"group": "penstock.dev", "version": "v1alpha1", "kind": "DynamoTable"},
        "operation": "CREATE",
        "namespace": "shop",
        "object": {"metadata": {"name": "orders"}, "spec": {}},
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {**whole, **request}}


async def test_a_creation_that_breaks_a_budget_is_refused_with_the_sentence() -> None:
    seen: list[tuple[str, Any]] = []

    async def judge(kind: str, obj: dict[str, Any]) -> str:
        seen.append((kind, obj["metadata"]))
        return "too dear"

    answer = await review(asked(), judge)
    assert answer["apiVersion"] == "admission.k8s.io/v1"
    assert answer["response"] == {
        "uid": "u1",
        "allowed": False,
        "status": {"code": 403, "reason": "Forbidden", "message": "too dear"},
    }
    assert seen == [("DynamoTable", {"name": "orders", "namespace": "shop"})]


@pytest.mark.parametrize("request_", [{"operation": "UPDATE"}, {"operation": "DELETE", "object": None}, {"object": []}])
async def test_all_but_creations_are_let_through_unasked(request_: dict[str, Any]) -> None:
    answer = await review(asked(**request_), too_dear)
    assert answer["response"] == {"uid": "u1", "allowed": True}


@pytest.mark.parametrize("error", [KeyError("a defect"), KubeError(0, "Unreachable", "the API server is away")])
async def test_what_cannot_be_judged_is_let_through(error: Exception) -> None:
    async def judge(kind: str, obj: dict[str, Any]) -> str:
        raise error

    answer = await review(asked(), judge)
    assert answer["response"]["allowed"] is True


@virtual
async def test_what_takes_longer_than_the_api_server_waits_is_let_through() -> None:
    async def judge(kind: str, obj: dict[str, Any]) -> str:
        await asyncio.sleep(30)
        return "too dear"

    answer = await review(asked(), judge)
    assert answer["response"]["allowed"] is True
    assert elapsed() < 3


async def test_a_name_that_is_still_to_be_made_is_none() -> None:
    names: list[str] = []

    async def judge(kind: str, obj: dict[str, Any]) -> str:
        names.append(obj["metadata"]["name"])
        return ""

    await review(asked(object={"metadata": {"generateName": "t-"}}), judge)
    assert names == ["t-"]


@pytest.mark.parametrize("body", [None, [], {}, {"request": 3}, {"request": {}}, {"request": {"uid": 1}}])
async def test_what_is_no_review_is_refused(body: Any) -> None:
    with pytest.raises(ValueError, match="no AdmissionReview"):
        await review(body, too_dear)
