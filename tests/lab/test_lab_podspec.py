"""The node's reading of a pod's spec, as pure functions."""

from __future__ import annotations

import base64

import pytest

from penstock_lab.podspec import (
    Unresolvable,
    command,
    entrypoint,
    environment,
    expand,
    image_environment,
    is_ours,
    references,
    relocate,
    volume_files,
)

POD = {
    "metadata": {"name": "p", "namespace": "n", "labels": {"app": "x"}, "annotations": {"a/b": "c"}},
    "spec": {"containers": [], "nodeName": "lab"},
    "status": {"podIP": "127.64.1.1"},
}


@pytest.mark.parametrize(
    ("image", "ours"),
    [
        ("penstock", True),
        ("ghcr.io/penstock/penstock:0.1.0", True),
        ("localhost:5000/penstock@sha256:00", True),
        ("ghcr.io/penstock/other:1", False),
        ("nginx:penstock", False),
    ],
)
def test_only_our_image_runs(image: str, ours: bool) -> None:
    assert is_ours(image) is ours


def test_the_image_has_the_variables_of_its_last_stage() -> None:
    dockerfile = "FROM a AS build\nENV OTHER=1\n\nFROM b\nENV PATH=/venv/bin:$PATH UNBUFFERED=1\nENV MORE=2\n"
    assert image_environment(dockerfile, {"PATH": "/bin", "LANG": "C"}) == {
        "PATH": "/venv/bin:/bin",
        "LANG": "C",
        "UNBUFFERED": "1",
        "MORE": "2",
    }


@pytest.mark.parametrize(
    ("text", "becomes"),
    [("$(A)-$(B)", "1-$(B)"), ("$$(A)", "$(A)"), ("$A ${A} $", "$A ${A} $"), ("$$$(A)", "$1"), ("", "")],
)
def test_references_expand_as_kubernetes_says(text: str, becomes: str) -> None:
    assert expand(text, {"A": "1"}) == becomes


@pytest.mark.parametrize(
    ("resource", "value"),
    [("limits.memory", str(384 * 2**20)), ("limits.cpu", "2"), ("requests.cpu", "1"), ("requests.memory", "0")],
)
def test_resources_as_numbers(resource: str, value: str) -> None:
    container = {
        "resources": {"limits": {"memory": "384Mi", "cpu": "1500m"}, "requests": {"cpu": "50m"}},
        "env": [{"name": "R", "valueFrom": {"resourceFieldRef": {"resource": resource}}}],
    }
    assert environment(POD, container, {}) == {"R": value}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.labels['app']", "x"),
        ("metadata.annotations['a/b']", "c"),
        ("spec.nodeName", "lab"),
        ("status.podIP", "127.64.1.1"),
    ],
)
def test_downward_fields(path: str, value: str) -> None:
    container = {"env": [{"name": "F", "valueFrom": {"fieldRef": {"fieldPath": path}}}]}
    assert environment(POD, container, {}) == {"F": value}


def test_what_is_missing_is_named() -> None:
    reference = {"secretKeyRef": {"name": "s", "key": "k"}}
    container = {"env": [{"name": "S", "valueFrom": reference}]}
    with pytest.raises(Unresolvable, match='secret "s" not found'):
        environment(POD, container, {("Secret", "s"): None})
    with pytest.raises(Unresolvable, match="couldn't find key k in Secret n/s"):
        environment(POD, container, {("Secret", "s"): {"data": {}}})


def test_all_secrets_and_config_maps_are_known_beforehand() -> None:
    container = {
        "image": "penstock",
        "envFrom": [{"secretRef": {"name": "a"}}],
        "env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "b", "key": "k"}}}],
    }
    volumes = [
        {"name": "v", "secret": {"secretName": "c"}},
        {"name": "w", "projected": {"sources": [{"configMap": {"name": "d"}}, {"secret": {"name": "e"}}]}},
    ]
    pod = {"metadata": {}, "spec": {"containers": [container], "volumes": volumes}}
    assert references(pod) == {
        ("Secret", "a"),
        ("ConfigMap", "b"),
        ("Secret", "c"),
        ("ConfigMap", "d"),
        ("Secret", "e"),
    }


def test_command_and_args_replace_what_kubernetes_says_they_replace() -> None:
    assert command({}, {}, ["penstock"]) == ["penstock"]
    assert command({"args": ["run"]}, {}, ["penstock"]) == ["penstock", "run"]
    assert command({"command": ["a"], "args": ["$(B)"]}, {"B": "b"}, ["penstock"]) == ["a", "b"]


def test_entrypoint_of_a_dockerfile() -> None:
    assert entrypoint('FROM x\nENTRYPOINT ["a"]\nFROM y\nENTRYPOINT ["penstock", "-v"]\n') == ["penstock", "-v"]
    assert entrypoint("FROM x\n") == ["penstock"]


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("--file=/etc/x/a", "--file=/local/x/a"),
        ("/etc/x", "/local/x"),
        ("/etc/xyz", "/etc/xyz"),
        ("/other/etc/x", "/other/etc/x"),
        ("/etc/x/deep/a", "/local/deep/a"),
        ("a:/etc/x:b", "a:/local/x:b"),
    ],
)
def test_mounted_paths_become_local_ones(text: str, becomes: str) -> None:
    assert relocate(text, [("/etc/x", "/local/x"), ("/etc/x/deep", "/local/deep")]) == becomes


def test_volumes_hold_keys_items_and_tokens() -> None:
    secret = {"data": {"k": base64.b64encode(b"v").decode(), "other": ""}}
    volume = {"name": "v", "secret": {"secretName": "s", "items": [{"key": "k", "path": "sub/k"}]}}
    assert volume_files(POD, volume, {("Secret", "s"): secret}, "CA") == ({"sub/k": b"v"}, [])
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}
    root = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    files, tokens = volume_files(POD, {"name": "v", "projected": {"sources": [token, root]}}, {}, "CA")
    assert files == {"ca.crt": b"CA"}
    assert [(one.path, one.seconds) for one in tokens] == [("token", 3607)]
    assert volume_files(POD, {"name": "v", "emptyDir": {}}, {}, "CA") == ({}, [])
