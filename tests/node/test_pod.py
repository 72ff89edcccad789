"""The released image and the unchanged chart, run by a real kubelet: what only that shows. In this order, on one lab."""

from __future__ import annotations

import itertools
import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from penstock_lab import processes
from penstock_lab.deployment import LEASE, NAMESPACE, RELEASE
from penstock_lab.kubelet import image
from penstock_lab.lab import Lab
from penstock_lab.pki import write_key

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]
TABLES = 2000
VALUES: dict[str, Any] = {"admission": {"enabled": True}, "networkPolicy": {"enabled": True}}


@pytest.fixture(scope="module", autouse=True)
def installed(lab: Lab) -> None:
    lab.install_operator(VALUES)


def pods(lab: Lab) -> list[dict[str, Any]]:
    """The operator's pods that are not on their way out."""
    found = json.loads(lab.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json").stdout)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def only(lab: Lab) -> dict[str, Any]:
    (pod,) = pods(lab)
    return pod


def restarts(pod: dict[str, Any]) -> int:
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def ready(pod: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def holder(lab: Lab) -> str:
    lease: Any = lab.api.json(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}") or {}
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def table(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "DynamoTable",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"deletionPolicy": "Retain", "key": {"partition": {"name": "id", "type": "String"}}, **spec},
    }


def apply(lab: Lab, *objects: dict[str, Any]) -> None:
    lab.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def converges(lab: Lab, kind: str, name: str) -> None:
    lab.kubectl("wait", "--for=condition=Ready", f"{kind}/{name}", "--timeout=60s", timeout=70)


def logs(lab: Lab, previous: bool = False) -> str:
    more = ["--previous"] if previous else []
    return lab.kubectl("logs", f"deployment/{RELEASE}", "-n", NAMESPACE, *more).stdout


def test_it_is_ready_by_its_probes_as_the_images_user(lab: Lab, wait_for: Any) -> None:
    pod = wait_for(lambda: ready(only(lab)) and only(lab))
    (container,) = pod["status"]["containerStatuses"]
    assert container["containerID"].startswith("containerd://")
    assert container["image"] == image.name()
    assert restarts(pod) == 0
    assert "Traceback" not in logs(lab)
    # What the runtime gives a pod, and nothing more.
    process = Path("/proc", str(lab.operator_pid))
    assert re.search(r"^Uid:\s+65532\s", (process / "status").read_text(), re.M)
    names = {line.partition("=")[0] for line in (process / "environ").read_text().split("\0") if line}
    assert not {"USER", "KUBECONFIG"} & names
    asked = lab.kubectl("exec", f"deployment/{RELEASE}", "-n", NAMESPACE, "--", "penstock", "--help")
    assert "Run the operator in the foreground" in asked.stdout


def test_a_table_and_a_cluster_converge(lab: Lab) -> None:
    cluster = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "AuroraCluster",
        "metadata": {"name": "ledger", "namespace": "default"},
        "spec": {"engine": {"type": "AuroraPostgreSQL", "version": "15.10"}, "instances": {"class": "db.t4g.medium"}},
    }
    apply(lab, table("first"), cluster)
    converges(lab, "ddb", "first")
    converges(lab, "auroracluster", "ledger")
    assert "first" in "".join(lab.boto("dynamodb").list_tables()["TableNames"])


def test_its_metrics_are_served_through_their_service(lab: Lab) -> None:
    service: Any = lab.api.json(f"/api/v1/namespaces/{NAMESPACE}/services/{RELEASE}-metrics")
    found = lab.inside("curl", "-sf", "-m", "5", f"http://{service['spec']['clusterIP']}:8080/metrics")
    assert "penstock_leader 1.0" in found


def test_the_webhook_is_asked_through_its_service(lab: Lab, wait_for: Any) -> None:
    budget = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "CostBudget",
        "metadata": {"name": "small", "namespace": "default"},
        "spec": {"monthlyLimit": "1", "policy": "Hold", "selector": {"matchLabels": {"team": "small"}}},
    }
    apply(lab, budget)
    units = {"mode": "Provisioned", "read": {"units": 20}, "write": {"units": 20}}
    large = table("large", capacity=units)
    large["metadata"]["labels"] = {"team": "small"}

    def refused() -> bool:
        answer = lab.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(large), check=False)
        return "denied the request" in answer.stderr and "CostBudget small allows $1.00 a month" in answer.stderr

    wait_for(refused)
    lab.kubectl("delete", "costbudget", "small")


def test_its_network_policy_is_taken_by_the_api_server(lab: Lab) -> None:
    """The lab's bridge does not enforce it: see docs/operations.md."""
    policy: Any = lab.api.json(f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/{RELEASE}")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    named = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    assert named <= {port["name"] for port in only(lab)["spec"]["containers"][0]["ports"]}


def test_a_killed_container_is_back(lab: Lab, wait_for: Any) -> None:
    before = restarts(only(lab))
    lab.kill_operator(signal.SIGKILL)
    wait_for(lambda: restarts(only(lab)) == before + 1 and ready(only(lab)))
    ended = only(lab)["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert ended["exitCode"] == 128 + signal.SIGKILL
    apply(lab, table("after-kill"))
    converges(lab, "ddb", "after-kill")


def test_a_hung_process_is_restarted_by_its_liveness_probe(lab: Lab, wait_for: Any) -> None:
    before = restarts(only(lab))
    lab.kill_operator(signal.SIGSTOP)
    # Three probes of ten seconds, then the grace period that a stopped process cannot use.
    wait_for(lambda: restarts(only(lab)) == before + 1 and ready(only(lab)), timeout=120)
    apply(lab, table("after-hang"))
    converges(lab, "ddb", "after-hang")


def test_a_drained_node_is_left_in_time(lab: Lab, wait_for: Any) -> None:
    name = only(lab)["metadata"]["name"]
    assert holder(lab).startswith(f"{name}_")
    began = time.monotonic()
    lab.kubectl("drain", "lab", "--delete-emptydir-data", "--timeout=30s")
    # It left within its ten seconds, not by SIGKILL, which would keep the Lease; kubectl looks a little longer.
    assert holder(lab) == ""
    assert time.monotonic() - began < 15
    lab.kubectl("uncordon", "lab")
    pod = wait_for(lambda: ready(only(lab)) and only(lab))
    assert pod["metadata"]["name"] != name


def test_a_renewed_token_is_taken_and_the_old_one_is_not_needed(lab: Lab, wait_for: Any) -> None:
    """An hour of a token's life in a minute: another key signs, the kubelet fetches a token anew, then the old key is not trusted."""
    pki, process = lab.state.pki, lab.operator_pid
    before = only(lab)
    # /var/run is a link whose target would be this machine's.
    file = Path(f"/proc/{process}/root/run/secrets/kubernetes.io/serviceaccount/token")
    old = file.read_text()
    (pki / "sa.pub").rename(pki / "sa-old.pub")
    with lab.api_away():
        write_key(pki / "sa.key")
    (kubelet,) = (program for program in processes.marked(lab.state.id) if program.name() == "kubelet")
    kubelet.kill()
    wait_for(lambda: file.read_text() != old, timeout=150)
    with lab.api_away():
        (pki / "sa-old.pub").unlink()
    apply(lab, table("after-renewal"))
    converges(lab, "ddb", "after-renewal")
    # A minute is how long the token may be kept in memory.
    time.sleep(5)
    after = only(lab)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert restarts(after) == restarts(before)
    assert processes.start_ticks(process or 0) is not None


def test_a_rolling_upgrade_of_two_replicas_has_no_gap_and_no_overlap(lab: Lab, wait_for: Any) -> None:
    lab.install_operator(VALUES | {"replicas": 2})
    wait_for(lambda: len(pods(lab)) == 2 and all(map(ready, pods(lab))) and holder(lab))
    old = {pod["metadata"]["name"] for pod in pods(lab)}
    lab.kubectl("rollout", "restart", f"deployment/{RELEASE}", "-n", NAMESPACE)
    seen: list[tuple[float, str]] = []

    def over() -> bool:
        if not seen or seen[-1][1] != holder(lab):
            seen.append((time.monotonic(), holder(lab)))
        names = {pod["metadata"]["name"] for pod in pods(lab)}
        return len(names) == 2 and not names & old and all(map(ready, pods(lab))) and bool(holder(lab))

    wait_for(over, timeout=120, pause=0.05)
    assert seen[-1][1].partition("_")[0] not in old
    gaps = [later - at for (at, who), (later, _) in itertools.pairwise(seen) if not who]
    assert sum(gaps) < 5, seen
    # Each holder led once, and nobody took what was not given back: the Lease counts its transitions.
    led = [who for _, who in seen if who]
    assert len(led) == len(set(led)), seen
    lab.install_operator(VALUES)
    wait_for(lambda: len(pods(lab)) == 1 and ready(only(lab)) and holder(lab))


def test_two_thousand_tables_fit_into_its_memory(lab: Lab, wait_for: Any) -> None:
    before = only(lab)
    names = [f"many-{number:04}" for number in range(TABLES)]
    for first in range(0, TABLES, 500):
        objects = [table(name, pointInTimeRecovery={"enabled": False}) for name in names[first : first + 500]]
        listed = {"apiVersion": "v1", "kind": "List", "items": objects}
        lab.kubectl("create", "-f", "-", input=json.dumps(listed), timeout=120)

    def all_ready() -> bool:
        told = lab.kubectl("get", "ddb", "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}")
        return told.stdout.split().count("True") >= TABLES

    wait_for(all_ready, timeout=300, pause=3)
    after = only(lab)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert restarts(after) == restarts(before), after["status"]["containerStatuses"][0]
    assert after["spec"]["containers"][0]["resources"]["limits"]["memory"] == "384Mi"
    status = Path(f"/proc/{lab.operator_pid}/status").read_text()
    peak = next(int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM"))
    print(f"\n{TABLES} tables: the process had {peak} MiB at most, of 384")


def test_it_is_uninstalled_and_installed_again_with_its_objects_left(lab: Lab, wait_for: Any) -> None:
    apply(lab, table("first"))
    converges(lab, "ddb", "first")
    lab.helm("uninstall", RELEASE, "-n", NAMESPACE, "--wait")
    assert not pods(lab)
    assert lab.kubectl("get", "ddb", "first", "-o", "name").stdout
    lab.aws.reset_calls()
    lab.state.operator.pop("fingerprint")
    lab.state.save()
    lab.install_operator(VALUES)
    wait_for(lambda: ready(only(lab)) and holder(lab))
    apply(lab, table("after-reinstall"))
    converges(lab, "ddb", "after-reinstall")
    counts = lab.aws.calls()["counts"]
    assert counts.get("dynamodb.CreateTable", 0) == 1, counts
    assert counts.get("dynamodb.DeleteTable", 0) == 0
