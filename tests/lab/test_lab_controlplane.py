"""The control plane is the real one: versions, garbage collection, namespaces, RBAC, tokens."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from penstock_lab import pki
from penstock_lab.build import KUBERNETES
from penstock_lab.deployment import NAMESPACE
from penstock_lab.lab import Lab, LabError


def test_kubectl_and_server_say_the_same_version(lab: Lab) -> None:
    answer = lab.kubectl("version", "-o", "json")
    versions = json.loads(answer.stdout)
    assert versions["clientVersion"]["gitVersion"] == versions["serverVersion"]["gitVersion"] == KUBERNETES
    assert "WARNING" not in answer.stderr


def test_wait_sees_the_operator_available(lab: Lab) -> None:
    lab.kubectl("wait", "--for=condition=Available", "deployment/penstock", "-n", NAMESPACE, "--timeout=20s")


def test_wait_fails_for_what_does_not_come(lab: Lab, namespace: str) -> None:
    lab.kubectl("create", "configmap", "idle", "-n", namespace)
    with pytest.raises(LabError, match="timed out"):
        lab.kubectl("wait", "--for=jsonpath={.data.done}=yes", "configmap/idle", "-n", namespace, "--timeout=1s")


def test_garbage_collection_follows_the_owner(lab: Lab, namespace: str, wait_for) -> None:
    lab.kubectl("create", "configmap", "owner", "-n", namespace)
    owner = json.loads(lab.kubectl("get", "configmap", "owner", "-n", namespace, "-o", "json").stdout)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    owned = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "owned", "namespace": namespace, "ownerReferences": [reference]},
    }
    lab.kubectl("apply", "-f", "-", input=json.dumps(owned))
    lab.kubectl("delete", "configmap", "owner", "-n", namespace)
    wait_for(lambda: lab.kubectl("get", "secret", "owned", "-n", namespace, check=False).returncode != 0)


def test_namespace_deletion_takes_its_content(lab: Lab, namespace: str) -> None:
    lab.kubectl("create", "configmap", "inside", "-n", namespace)
    lab.kubectl("delete", "namespace", namespace, "--timeout=30s")
    assert lab.kubectl("get", "namespace", namespace, check=False).returncode != 0
    assert "inside" not in lab.kubectl("get", "configmaps", "-A").stdout


def _as_account(lab: Lab, namespace: str, folder: Path) -> str:
    """A kubeconfig that logs in with a fresh token of the namespace's default ServiceAccount."""
    token = lab.kubectl("create", "token", "default", "-n", namespace).stdout.strip()
    path = folder / "kubeconfig"
    ca = lab.state.folder / "pki" / "ca.crt"
    pki.kubeconfig(path, "account", lab.state.kubernetes_url, ca, {"token": token}, namespace)
    return str(path)


def test_a_requested_token_logs_its_account_in(lab: Lab, namespace: str, tmp_path: Path) -> None:
    config = _as_account(lab, namespace, tmp_path)
    who = json.loads(lab.kubectl("--kubeconfig", config, "auth", "whoami", "-o", "json").stdout)
    assert who["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:default"


def test_rbac_denies_until_a_role_allows(lab: Lab, namespace: str, tmp_path: Path, wait_for) -> None:
    config = _as_account(lab, namespace, tmp_path)
    read = ("--kubeconfig", config, "get", "configmaps", "-n", namespace)
    with pytest.raises(LabError, match="Forbidden"):
        lab.kubectl(*read)
    lab.kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps", "-n", namespace)
    account = f"--serviceaccount={namespace}:default"
    lab.kubectl("create", "rolebinding", "reader", "--role=reader", account, "-n", namespace)
    wait_for(lambda: lab.kubectl(*read).returncode == 0)
    with pytest.raises(LabError, match="Forbidden"):
        lab.kubectl("--kubeconfig", config, "get", "secrets", "-n", namespace)


def test_a_stranger_is_not_let_in(lab: Lab, tmp_path: Path) -> None:
    ca = lab.state.folder / "pki" / "ca.crt"
    other = pki.Authority(tmp_path / "other").issue("admin", "penstock-lab-admin", ("system:masters",))
    pki.kubeconfig(tmp_path / "config", "stranger", lab.state.kubernetes_url, ca, pki.client(other))
    with pytest.raises(LabError, match=r"provide credentials|Unauthorized|certificate"):
        lab.kubectl("--kubeconfig", str(tmp_path / "config"), "get", "namespaces")


def test_the_operator_works_as_the_charts_account(lab: Lab, wait_for) -> None:
    account = f"system:serviceaccount:{NAMESPACE}:penstock"
    calls = wait_for(lambda: {key: n for key, n in lab.kubernetes_calls().items() if key[0] == account})
    assert any(resource.startswith("leases") for _, _, resource in calls)


def test_helm_knows_its_release(lab: Lab) -> None:
    releases = json.loads(lab.helm("list", "-n", NAMESPACE, "-o", "json").stdout)
    assert [(one["name"], one["status"]) for one in releases] == [("penstock", "deployed")]


def test_nothing_can_be_done_to_etcd_without_the_labs_certificate(lab: Lab) -> None:
    context = ssl.create_default_context(cafile=str(lab.state.folder / "pki" / "ca.crt"))
    with pytest.raises((urllib.error.URLError, ConnectionError, ssl.SSLError)):
        urllib.request.urlopen(f"https://127.0.0.1:{lab.state.ports['etcd']}/version", context=context, timeout=5)
