"""`penstock run` with options and surroundings that cannot be right: a sentence, never a traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.cli import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--region", "x y"], "is no AWS region"),
        (["--cluster-name", "a/b c"], "is no cluster name"),
        (["--lease-name", "Bad Name"], "is no Kubernetes name"),
        (["--resync", "0"], "x>=1"),
        (["--facet-resync", "-5"], "x>=1"),
        (["--listing", "0"], "x>=1"),
        (["--workers", "0"], "1<=x<=256"),
        (["--rds-rate", "0"], "1<=x<=100"),
        (["--http-port", "70000"], "0<=x<=65535"),
        (["--database-ca", "/no/such/file.pem"], "does not exist"),
        (["--database-ca", __file__], "holds no certificate in PEM form"),
    ],
)
def test_an_option_that_cannot_be_right(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["run", *arguments])
    assert result.exit_code == 2
    assert words in result.output


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\nusers: [{name: a, user: {}}]\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "penstock.cli", "run", "--http-host", "127.0.0.1", "--http-port", str(port)],
            env={**os.environ, "KUBECONFIG": str(config)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 1
    assert "cannot be served" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_profile_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = tmp_path / "table.yaml"
    manifest.write_text(
        "apiVersion: penstock.dev/v1alpha1\nkind: DynamoTable\nmetadata: {name: orders}\n"
        "spec: {key: {partition: {name: id, type: String}}}\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    result = CliRunner().invoke(main, ["plan", "-f", str(manifest)])
    assert result.exit_code == 1
    assert "the AWS settings cannot be used" in result.output
