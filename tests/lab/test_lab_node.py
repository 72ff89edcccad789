"""The node runs pods as a kubelet would: environment, probes, restarts, graceful ends, logs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock_lab import sandbox
from penstock_lab.deployment import BASE_ENVIRONMENT, NAMESPACE
from penstock_lab.lab import Lab
from penstock_lab.podspec import image_environment
from penstock_lab.processes import MARK, POD_MARK, start_ticks
from penstock_lab.state import checkout

CHECKOUT = checkout()
IMAGE = "registry.example/penstock:test"
ADDRESS = {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
SERVE = (
    "import http.server, os; "
    "http.server.ThreadingHTTPServer((os.environ['ADDRESS'], 8080), http.server.SimpleHTTPRequestHandler).serve_forever()"
)


def _pod(namespace: str, name: str, code: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": IMAGE, "command": ["python", "-c", code]} | spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 5} | spec,
    }


@pytest.fixture
def apply(lab: Lab) -> Callable[[dict[str, Any]], None]:
    return lambda obj: lab.kubectl("apply", "-f", "-", input=json.dumps(obj)) and None


@pytest.fixture
def container(lab: Lab, namespace: str) -> Callable[[str], dict[str, Any]]:
    """The status of a pod's first container."""

    def get(name: str) -> dict[str, Any]:
        pod = json.loads(lab.kubectl("get", "pod", name, "-n", namespace, "-o", "json").stdout)
        return (pod["status"].get("containerStatuses") or [{}])[0]

    return get


def _process(lab: Lab, namespace: str, name: str) -> dict[str, Any]:
    found = [pod for pod in lab.pods(namespace) if pod["name"] == name]
    assert found
    assert found[0]["pid"]
    return found[0]


def test_environment_comes_from_every_source_and_from_nowhere_else(
    lab: Lab, namespace: str, apply, wait_for, monkeypatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of-the-person")
    lab.kubectl("create", "secret", "generic", "keys", "--from-literal=token=a$(b", "-n", namespace)
    lab.kubectl("create", "configmap", "words", "--from-literal=COLOUR=blue", "-n", namespace)
    env = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "absent", "optional": True}}},
        {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        ADDRESS,
        {"name": "BOTH", "value": "$(WHERE)/$(COLOUR)/$(UNKNOWN)/$$(WHERE)"},
    ]
    sources = [{"configMapRef": {"name": "words"}}]
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    apply(_pod(namespace, "env", code, restartPolicy="Never", container={"env": env, "envFrom": sources}))
    lab.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/env", "-n", namespace, "--timeout=20s")
    printed = json.loads((lab.state.folder / "pods" / "env" / "main-0.log").read_text())
    assert printed["TOKEN"] == "a$(b"
    assert "NONE" not in printed
    assert printed["COLOUR"] == "blue"
    assert printed["BOTH"] == f"{namespace}/blue/$(UNKNOWN)/$(WHERE)"
    assert printed["ADDRESS"].startswith("127.")
    dockerfile = (CHECKOUT / "Dockerfile").read_text()
    image = image_environment(dockerfile, BASE_ENVIRONMENT)
    assert image.items() <= printed.items()
    runtime = {"HOSTNAME", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", MARK, POD_MARK}
    assert printed.keys() - image.keys() == runtime | {"TOKEN", "COLOUR", "WHERE", "ADDRESS", "BOTH"}
    assert not {"HOME", "USER", "KUBECONFIG"} & printed.keys()


def test_a_pod_has_what_a_pod_has_and_nothing_of_the_person(lab: Lab, namespace: str, apply) -> None:
    if not sandbox.available():
        pytest.skip("this machine permits no mount namespace: pods share its tree")
    code = """
import json, os, pwd, sys
def tried(act):
    try: return str(act())
    except Exception as error: return type(error).__name__
account = "/var/run/secrets/kubernetes.io/serviceaccount"
print(json.dumps({
    "ids": [os.getuid(), os.getgid(), os.getgroups()],
    "user": tried(lambda: pwd.getpwuid(os.getuid())),
    "account": sorted(name for name in os.listdir(account) if not name.startswith(".")),
    "namespace": open(account + "/namespace").read(),
    "token": bool(open(account + "/token").read()),
    "written": [tried(lambda: open(path + "/x", "w")) for path in ("/", "/venv", "/usr", "/etc", account)],
    "tmp": tried(lambda: open("/tmp/x", "w").close()),
    "lab": tried(lambda: __import__("penstock_lab")),
    "operator": __import__("penstock").__file__,
    "python": sys.prefix,
}))
"""
    container = {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}
    volumes = [{"name": "tmp", "emptyDir": {}}]
    apply(_pod(namespace, "bare", code, restartPolicy="Never", container=container, volumes=volumes))
    lab.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/bare", "-n", namespace, "--timeout=20s")
    found = json.loads((lab.state.folder / "pods" / "bare" / "main-0.log").read_text())
    assert found["ids"][:2] == [sandbox.UID, sandbox.UID]
    assert found["user"] == "KeyError"
    assert found["account"] == ["ca.crt", "namespace", "token"]
    assert found["namespace"] == namespace
    assert found["token"] is True
    assert found["written"] == ["OSError"] * 5
    assert found["tmp"] == "None"
    assert found["lab"] == "ModuleNotFoundError"
    assert found["operator"].startswith("/venv/")
    assert found["python"] == "/venv"


def test_a_missing_secret_is_told_and_then_found(lab: Lab, namespace: str, apply, container, wait_for) -> None:
    env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "late", "key": "token"}}}]
    apply(_pod(namespace, "late", "import time; time.sleep(60)", container={"env": env}))
    waiting = wait_for(lambda: (container("late").get("state") or {}).get("waiting", {}).get("message"))
    assert waiting == 'secret "late" not found'
    lab.kubectl("create", "secret", "generic", "late", "--from-literal=token=x", "-n", namespace)
    lab.kubectl("wait", "--for=condition=Ready", "pod/late", "-n", namespace, "--timeout=20s")


def test_a_killed_process_is_started_again(lab: Lab, namespace: str, apply, container, wait_for) -> None:
    apply(_pod(namespace, "killed", "import time; print('up', flush=True); time.sleep(60)"))
    before = wait_for(lambda: _process(lab, namespace, "killed"))
    wait_for(lambda: Path(before["log"]).read_text() == "up\n")
    os.kill(before["pid"], signal.SIGKILL)
    after = wait_for(
        lambda: _process(lab, namespace, "killed")["pid"] != before["pid"] and _process(lab, namespace, "killed")
    )
    assert after["restarts"] == 1
    status = wait_for(lambda: container("killed").get("restartCount") == 1 and container("killed"))
    assert status["lastState"]["terminated"]["exitCode"] == 128 + signal.SIGKILL
    assert lab.kubectl("logs", "killed", "-n", namespace, "--previous").stdout == "up\n"


def test_liveness_restarts_and_readiness_does_not(lab: Lab, namespace: str, apply, container, wait_for) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    closed = {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 1}
    apply(_pod(namespace, "dead", code, container={"livenessProbe": closed}, terminationGracePeriodSeconds=1))
    apply(_pod(namespace, "busy", code, container={"readinessProbe": closed}))
    wait_for(lambda: container("dead").get("restartCount", 0) >= 1)
    assert container("busy")["restartCount"] == 0
    assert container("busy")["ready"] is False


def test_sigterm_is_given_its_grace_and_the_object_goes(lab: Lab, namespace: str, apply, wait_for) -> None:
    code = (
        "import signal, sys, time\n"
        "def leave(*_):\n    time.sleep(0.5); print('goodbye', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave); print('ready', flush=True); time.sleep(60)"
    )
    apply(_pod(namespace, "polite", code))
    log = lab.state.folder / "pods" / "polite" / "main-0.log"
    wait_for(lambda: log.exists() and "ready" in log.read_text())
    lab.kubectl("delete", "pod", "polite", "-n", namespace, "--timeout=20s")
    assert "goodbye" in log.read_text()


def test_who_ignores_sigterm_is_killed(lab: Lab, namespace: str, apply, wait_for) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    apply(_pod(namespace, "stubborn", code, terminationGracePeriodSeconds=1))
    log = lab.state.folder / "pods" / "stubborn" / "main-0.log"
    wait_for(lambda: log.exists() and "ready" in log.read_text())
    pid = _process(lab, namespace, "stubborn")["pid"]
    lab.kubectl("delete", "pod", "stubborn", "-n", namespace, "--timeout=20s")
    assert start_ticks(pid) is None


def test_another_image_stays_pending_and_says_why(lab: Lab, namespace: str, apply, wait_for) -> None:
    pod = _pod(namespace, "web", "")
    pod["spec"]["containers"][0]["image"] = "docker.io/library/nginx:1.29"
    apply(pod)
    wait_for(lambda: "nginx:1.29 is another" in lab.kubectl("get", "events", "-n", namespace).stdout)
    assert lab.kubectl("get", "pod", "web", "-n", namespace, "-o", "jsonpath={.status.phase}").stdout == "Pending"


def test_replicas_share_a_port_and_a_rollout_replaces_them(lab: Lab, namespace: str, apply, wait_for) -> None:
    probe = {"httpGet": {"path": "/", "port": "http"}}
    template = _pod(
        namespace,
        "web",
        SERVE,
        container={"env": [ADDRESS], "ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": probe},
    )
    template = {"metadata": {"labels": {"app": "web"}}, "spec": template["spec"]}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": spec,
        }
    )
    lab.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=30s")
    before = {pod["ip"]: pod["pid"] for pod in lab.pods(namespace)}
    assert len(before) == 2
    lab.kubectl("rollout", "restart", "deployment/web", "-n", namespace)
    lab.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=30s")
    after = wait_for(lambda: len(lab.pods(namespace)) == 2 and {pod["pid"] for pod in lab.pods(namespace)})
    assert not after & set(before.values())


def test_a_job_completes(lab: Lab, namespace: str, apply) -> None:
    template = _pod(namespace, "once", "print('done')", restartPolicy="Never")
    spec = {"template": {"spec": template["spec"]}}
    apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": namespace}, "spec": spec})
    lab.kubectl("wait", "--for=condition=Complete", "job/once", "-n", namespace, "--timeout=20s")
    assert lab.kubectl("logs", "job/once", "-n", namespace, check=False).stdout in ("done\n", "")


def test_volumes_are_files_and_paths_that_name_them_are_found(lab: Lab, namespace: str, apply) -> None:
    lab.kubectl("create", "configmap", "conf", "--from-literal=app.ini=[x]", "-n", namespace)
    code = "import sys; print(open(sys.argv[1].partition('=')[2]).read())"
    pod = _pod(
        namespace, "files", code, restartPolicy="Never", volumes=[{"name": "conf", "configMap": {"name": "conf"}}]
    )
    pod["spec"]["containers"][0] |= {
        "args": ["--config=/etc/app/app.ini"],
        "volumeMounts": [{"name": "conf", "mountPath": "/etc/app"}],
    }
    apply(pod)
    lab.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/files", "-n", namespace, "--timeout=20s")
    assert (lab.state.folder / "pods" / "files" / "main-0.log").read_text() == "[x]\n"


def test_the_operator_is_back_after_kill_9(lab: Lab) -> None:
    before = lab.wait_operator()
    assert lab.kill_operator() == before
    assert lab.wait_operator(other_than=before, seconds=40) != before


def test_an_operator_beside_the_pods_has_the_same_rights(lab: Lab, wait_for) -> None:
    with lab.run_operator(args=["--log-format=text"]) as operator:
        operator.wait_ready()
        assert wait_for(lambda: lab.operator_pid == operator.pid)
        assert not lab.pods(NAMESPACE)
        operator.kill(signal.SIGTERM)
        assert operator.wait(15) == 0
    assert lab.wait_operator() in {pod["pid"] for pod in lab.pods(NAMESPACE)}
