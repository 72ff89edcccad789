"""Credentials that are missing, expired or unknown: told on the object, and found again when they are renewed."""

from __future__ import annotations

import pytest
from declared import Declared

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


def access(key: str, secret: str = "x") -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret if key else ""}


@pytest.mark.parametrize(
    ("key", "reason", "words"),
    [
        (
            "",
            "CredentialsMissing",
            "give its ServiceAccount an IAM role, or name a Secret in the chart's aws.existingSecret",
        ),
        ("AKIAEXPIRED0000000", "CredentialsExpired", "have expired: renew them"),
        ("AKIAUNKNOWN0000000", "AccessDenied", "AWS does not know the operator's access key"),
    ],
    ids=["missing", "expired", "unknown"],
)
def test_bad_credentials_are_told_on_the_object(lab: Lab, namespace: str, key: str, reason: str, words: str) -> None:
    with lab.run_operator(access(key)) as operator:
        table = Declared(lab, namespace)
        told = table.wait("Ready", "False", reason=reason, timeout=40)
        assert words in told["message"]
        assert table.condition("Stalled")["status"] == "True"
        assert operator.running
        assert "Traceback" not in operator.logs()
        # Whether CreateTable had an effect cannot be known without them: the deletion waits, and says for what.
        table.delete()
        table.wait("Ready", "False", reason=reason)
    table.gone()


def test_renewed_credentials_are_found_without_a_restart(lab: Lab, namespace: str) -> None:
    file = lab.state.folder / f"{namespace}.credentials"
    text = "[default]\naws_access_key_id = {}\naws_secret_access_key = penstock-lab\n"
    file.write_text(text.format("AKIAEXPIRED0000000"))
    with lab.run_operator({**access(""), "AWS_SHARED_CREDENTIALS_FILE": str(file)}) as operator:
        table = Declared(lab, namespace)
        table.wait("Ready", "False", reason="CredentialsExpired", timeout=40)
        pid = operator.pid
        file.write_text(text.format("penstock-lab"))
        table.settled(timeout=90)
        assert operator.running
        assert operator.pid == pid
