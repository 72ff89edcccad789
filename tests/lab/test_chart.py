"""The chart as helm renders it and as the API server takes it: rights, pod security, and values that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.api.kinds import KINDS
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "penstock"

Objects = dict[tuple[str, str], dict[str, Any]]


def render(lab: Lab, *sets: str, release: str = "penstock", namespace: str = "penstock-system") -> Objects:
    """The chart's objects by kind and name."""
    arguments = [part for value in sets for part in ("--set", value)]
    text = lab.helm("template", release, str(CHART), "-n", namespace, *arguments).stdout
    return {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(text) if o}


ALL = (
    "replicas=2",
    "networkPolicy.enabled=true",
    "aws.existingSecret=keys",
    "aws.endpointUrl=http://127.0.0.1:4566",
    "watchNamespaces={a,b}",
    "clusterName=prod",
    "priorityClassName=system-cluster-critical",
    "extraArgs={--no-leader-elect}",
    "http.host=127.0.0.1",
)


@pytest.mark.parametrize("sets", [(), ALL], ids=["defaults", "everything"])
def test_helm_lints_the_chart(lab: Lab, sets: tuple[str, ...]) -> None:
    lab.helm("lint", "--strict", str(CHART), *(part for value in sets for part in ("--set", value)))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("replicas=two", "/replicas"),
        ("workrs=3", "workrs"),
        ("logLevel=loud", "/logLevel"),
        ("aws.region=Frankfurt", "/aws/region"),
        ("aws.roleArn=admin", "/aws/roleArn"),
        ("database.ca.pem=secret", "/database/ca/pem"),
        ("database.ca.configMap=RDS", "/database/ca/configMap"),
        ("image.digest=latest", "/image/digest"),
        ("watchNamespaces={a}", "clusterName: must be set when watchNamespaces is"),
        ("serviceAccount.create=false", "serviceAccount.name: must name the ServiceAccount"),
        ("serviceMonitor.enabled=true", "install the Prometheus Operator first"),
    ],
)
def test_wrong_values_are_refused_with_their_name(lab: Lab, value: str, words: str) -> None:
    answer = lab.helm("template", "x", str(CHART), "--set", value, check=False)
    assert answer.returncode != 0
    assert words in answer.stderr


def test_crds_can_be_left_out_and_are_kept_on_uninstall(lab: Lab) -> None:
    names = {("CustomResourceDefinition", kind.crd_name) for kind in KINDS}
    objects = render(lab)
    assert names <= objects.keys()
    for name in names:
        assert objects[name]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        plain = yaml.safe_load((ROOT / "crds" / f"penstock.dev_{name[1].partition('.')[0]}.yaml").read_text())
        assert objects[name]["spec"] == plain["spec"]
    assert not names & render(lab, "crds.install=false").keys()
    for name in names:
        assert "helm.sh/resource-policy" not in render(lab, "crds.keep=false")[name]["metadata"]["annotations"]


def test_settings_reach_the_process(lab: Lab) -> None:
    pod = render(lab, *ALL)["Deployment", "penstock"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["penstock"]
    assert container["args"][0] == "run"
    assert {"--watch-namespace=a", "--watch-namespace=b", "--no-leader-elect"} <= set(container["args"])
    env = {variable["name"]: variable for variable in container["env"]}
    assert env["AWS_ENDPOINT_URL"]["value"] == "http://127.0.0.1:4566"
    assert env["PENSTOCK_CLUSTER_NAME"]["value"] == "prod"
    assert env["PENSTOCK_RDS_RATE"]["value"] == "5.5"
    assert env["AWS_SESSION_TOKEN"]["valueFrom"]["secretKeyRef"]["optional"] is True


def test_the_databases_authorities_reach_the_process_from_a_configmap_or_as_text(lab: Lab) -> None:
    pem = "-----BEGIN CERTIFICATE-----\\nabc\\n-----END CERTIFICATE-----\\n"
    plain = render(lab)
    named = render(lab, "database.ca.configMap=rds", "database.ca.key=global-bundle.pem")
    text = render(lab, f"database.ca.pem={pem}")

    def settings(objects: Objects) -> tuple[Any, Any]:
        pod = objects["Deployment", "penstock"]["spec"]["template"]["spec"]
        env = {v["name"]: v.get("value") for v in pod["containers"][0]["env"]}
        volume = next((v["configMap"] for v in pod["volumes"] if v["name"] == "database-ca"), None)
        return env.get("PENSTOCK_DATABASE_CA"), volume

    assert settings(plain) == (None, None)
    assert settings(named) == ("/etc/penstock/database-ca/global-bundle.pem", {"name": "rds"})
    assert settings(text) == ("/etc/penstock/database-ca/ca.crt", {"name": "penstock-database-ca"})
    assert not [name for kind, name in named if kind == "ConfigMap"]
    (kept,) = text["ConfigMap", "penstock-database-ca"]["data"].values()
    assert kept.startswith("-----BEGIN CERTIFICATE-----")
    both = ("--set", "database.ca.configMap=rds", "--set", f"database.ca.pem={pem}")
    assert "give either configMap or pem" in lab.helm("template", "x", str(CHART), *both, check=False).stderr


def test_the_process_knows_every_argument_of_the_chart(lab: Lab) -> None:
    from penstock.cli import run

    options = {name for parameter in run.params for name in (*parameter.opts, *parameter.secondary_opts)}
    (container,) = render(lab, *ALL)["Deployment", "penstock"]["spec"]["template"]["spec"]["containers"]
    assert {argument.partition("=")[0] for argument in container["args"][1:]} <= options


def test_a_second_replica_brings_a_budget_and_spreading(lab: Lab) -> None:
    one, two = render(lab), render(lab, "replicas=2")
    assert ("PodDisruptionBudget", "penstock") not in one
    assert ("PodDisruptionBudget", "penstock") in two
    assert "topologySpreadConstraints" in two["Deployment", "penstock"]["spec"]["template"]["spec"]


def test_a_changed_role_restarts_the_pods(lab: Lab) -> None:
    def mark(*sets: str) -> str:
        pod = render(lab, *sets)["Deployment", "penstock"]["spec"]["template"]
        return str(pod["metadata"]["annotations"]["checksum/settings"])

    assert mark() == mark()
    assert mark() != mark("aws.roleArn=arn:aws:iam::123456789012:role/penstock")


def test_the_pod_passes_the_restricted_security_standard(lab: Lab, namespace: str) -> None:
    lab.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    objects = render(lab, namespace=namespace)
    account = objects["ServiceAccount", "penstock"]
    lab.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(account))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "penstock"},
        "spec": objects["Deployment", "penstock"]["spec"]["template"]["spec"],
    }
    lab.kubectl("-n", namespace, "create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
    # The standard is really enforced here:
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    refused = lab.kubectl("-n", namespace, "create", "--dry-run=server", "-f", "-", input=json.dumps(pod), check=False)
    assert "violates PodSecurity" in refused.stderr


RIGHTS = [
    ("list", "dynamotables.penstock.dev", "", True),
    ("watch", "dynamotables.penstock.dev", "", True),
    ("get", "dynamotables.penstock.dev", "", True),
    ("patch", "dynamotables.penstock.dev", "", True),
    ("patch", "dynamotables.penstock.dev", "status", True),
    ("create", "events.events.k8s.io", "", True),
    ("patch", "events.events.k8s.io", "", True),
    ("create", "leases.coordination.k8s.io", "", True),
    ("delete", "dynamotables.penstock.dev", "", False),
    ("create", "dynamotables.penstock.dev", "", False),
    ("update", "dynamotables.penstock.dev", "status", False),
    *((verb, "auroraclusters.penstock.dev", "", True) for verb in ("get", "list", "watch", "patch")),
    *((verb, "failoverdrills.penstock.dev", "", True) for verb in ("get", "list", "watch", "patch")),
    ("patch", "failoverdrills.penstock.dev", "status", True),
    ("create", "failoverdrills.penstock.dev", "", False),
    ("patch", "auroraclusters.penstock.dev", "status", True),
    ("delete", "auroraclusters.penstock.dev", "", False),
    ("update", "auroraclusters.penstock.dev", "status", False),
    *((verb, "secrets", "", True) for verb in ("get", "create", "patch")),
    *((verb, "secrets", "", False) for verb in ("list", "watch", "update", "delete", "deletecollection")),
    ("list", "namespaces", "", False),
    ("list", "customresourcedefinitions.apiextensions.k8s.io", "", False),
    ("get", "pods", "", False),
    ("update", "leases.coordination.k8s.io/somebody-elses", "", False),
]


@pytest.fixture(params=[False, True], ids=["cluster-wide", "one namespace"])
def account(request: pytest.FixtureRequest, lab: Lab, namespace: str) -> Any:
    """The operator's account with the chart's roles, as --as wants it."""
    sets = [f"fullnameOverride={namespace}", "crds.install=false"]
    if request.param:
        sets += [f"watchNamespaces={{{namespace}}}", "clusterName=test"]
    objects = render(lab, *sets, namespace=namespace)
    kinds = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    kinds += ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    listed = {"apiVersion": "v1", "kind": "List", "items": [o for (kind, _), o in objects.items() if kind in kinds]}
    lab.kubectl("apply", "-f", "-", input=json.dumps(listed))
    yield f"system:serviceaccount:{namespace}:{namespace}"
    lab.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", input=json.dumps(listed))


def _may(lab: Lab, namespace: str, who: str, verb: str, what: str, subresource: str = "") -> bool:
    extra = [f"--subresource={subresource}"] if subresource else []
    answer = lab.kubectl("-n", namespace, "auth", "can-i", verb, what, *extra, f"--as={who}", check=False)
    return str(answer.stdout).strip() == "yes"


def test_the_operator_may_do_what_it_does_and_no_more(lab: Lab, namespace: str, account: str) -> None:
    found = {right[:3]: _may(lab, namespace, account, *right[:3]) for right in RIGHTS}
    assert found == {right[:3]: right[3] for right in RIGHTS}
    assert _may(lab, namespace, account, "update", f"leases.coordination.k8s.io/{namespace}-operator")


def _secret(name: str, **fields: Any) -> str:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"password": "x"}, **fields}
    return json.dumps(body)


def test_of_secrets_the_operator_may_make_and_change_those_alone_that_its_clusters_own(
    lab: Lab, namespace: str, account: str, wait_for: Any
) -> None:
    # What names an owner that there is not is collected as garbage; this one is left alone by the operator.
    cluster = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "AuroraCluster",
        "metadata": {"name": "ledger", "annotations": {"penstock.dev/mode": "Paused"}},
        "spec": {"engine": {"type": "AuroraPostgreSQL", "version": "15.10"}, "instances": {"class": "db.t4g.medium"}},
    }
    made = lab.kubectl("-n", namespace, "create", "-o", "json", "-f", "-", input=json.dumps(cluster)).stdout
    uid = json.loads(made)["metadata"]["uid"]
    owner = {"apiVersion": "penstock.dev/v1alpha1", "kind": "AuroraCluster", "name": "ledger", "uid": uid}
    owned = {"metadata": {"name": "ours", "ownerReferences": [owner]}, "type": "servicebinding.io/postgresql"}

    def create(secret: str, *more: str) -> str:
        arguments = ("create", "-f", "-", f"--as={account}", *more)
        return str(lab.kubectl("-n", namespace, *arguments, input=secret, check=False).stderr)

    def patch(name: str, **change: Any) -> str:
        arguments = ("patch", "secret", name, "--type=merge", "-p", json.dumps(change))
        return str(lab.kubectl("-n", namespace, *arguments, f"--as={account}", check=False).stderr)

    words = "connection Secrets of its own AuroraClusters alone"
    # A policy is in force a moment after it was made.
    wait_for(lambda: words in create(_secret("theirs"), "--dry-run=server"))
    assert words in create(_secret("theirs"))
    assert words in create(_secret("theirs", type="servicebinding.io/postgresql"))
    assert words in create(_secret("theirs", metadata={"name": "theirs", "ownerReferences": [owner]}))
    assert create(_secret("ours", **owned)) == ""
    assert patch("ours", stringData={"password": "y"}) == ""
    lab.kubectl("-n", namespace, "create", "-f", "-", input=_secret("theirs", type="servicebinding.io/postgresql"))
    assert words in patch("theirs", stringData={"password": "y"})
    assert words in patch("theirs", metadata={"ownerReferences": [owner]}), "taking over is no way around it"
    assert words in patch("ours", metadata={"ownerReferences": None}), "nor is giving away"


def test_people_get_their_rights_by_the_clusters_own_roles(lab: Lab, namespace: str) -> None:
    objects = render(lab, f"fullnameOverride={namespace}", namespace=namespace)
    roles = [o for (kind, name), o in objects.items() if kind == "ClusterRole" and name != namespace]
    assert len(roles) == 3
    for name in ("view", "edit", "admin"):
        (role,) = (r for r in roles if r["metadata"]["name"].endswith(f"-{name}"))
        assert role["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{name}"] == "true"
        resources = {resource for rule in role["rules"] for resource in rule["resources"]}
        assert {kind.plural for kind in KINDS} <= resources
        # What stands in a status may be a claim on a resource of AWS: nobody but the operator writes one.
        of_status = [rule for rule in role["rules"] if any("/" in r or r == "*" for r in rule["resources"])]
        assert all(set(rule["verbs"]) <= {"get", "list", "watch"} for rule in of_status)


def test_the_plain_install_is_the_chart(lab: Lab) -> None:
    plain = {
        (o["kind"], o["metadata"]["name"]): o
        for o in yaml.safe_load_all((ROOT / "manifests/install/operator.yaml").read_text())
        if o
    }
    chart = render(lab, "crds.install=false")
    for found in (*plain.values(), *chart.values()):
        for place in (found, found.get("spec", {}).get("template", {})):
            labels = place.get("metadata", {}).get("labels", {})
            labels.pop("helm.sh/chart", None)
            labels.pop("app.kubernetes.io/managed-by", None)
    assert plain == chart, "run manifests/install/render"
