"""The connection Secret: it logs in, follows each rotation, is put back when somebody touches it, and never takes another's place."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from bound import Bound
from declared import operator_logs, unharmed
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


@scenario
def test_the_secret_logs_in_with_the_uris_it_holds_and_goes_with_its_object(lab: Lab, namespace: str) -> None:
    bound = Bound(lab, namespace, {"instances": {"readers": 1}}).ready()
    secret, data = bound.secret, bound.data
    assert bound.name == "ledger-binding"
    assert secret["type"] == "servicebinding.io/postgresql"
    aws = bound.cluster.aws
    assert data == {
        "type": "postgresql",
        "provider": "aws",
        "host": aws["Endpoint"],
        "port": str(aws["Port"]),
        "username": "postgres",
        "password": lab.aws.rds_password(bound.cluster.cluster),
        "database": "ledger",
        "uri": data["uri"],
        "reader-host": aws["ReaderEndpoint"],
        "reader-uri": data["reader-uri"],
        "ca.crt": data["ca.crt"],
    }
    assert bound.ask("select current_user, current_database(), pg_is_in_recovery()") == [("postgres", "ledger", False)]
    assert bound.ask("select pg_is_in_recovery()", uri="reader-uri") == [(True,)]
    assert "sslmode=verify-full" in data["uri"]
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        psycopg.connect(data["uri"], sslrootcert="system", connect_timeout=3)
    assert bound.cluster.told("Bound") == ["Connection Secret ledger-binding is handed out; it logs in."]
    # The endpoints stay where they are, so a failover changes nothing of it.
    version, writer = secret["metadata"]["resourceVersion"], bound.cluster.writer
    bound.cluster.by_hand("failover_db_cluster")
    bound.cluster.until(lambda: bound.cluster.status["writer"] not in ("", writer), "another writer")
    bound.cluster.look().settled()
    bound.until("select not pg_is_in_recovery()", "the endpoint follows")
    assert bound.secret["metadata"]["resourceVersion"] == version
    # Nobody but the Secret tells the password.
    seen = json.dumps(bound.cluster.object) + json.dumps(bound.cluster.events)
    seen += "".join(log.read_text(errors="replace") for log in operator_logs(lab))
    assert data["password"] not in seen
    assert json.dumps(data["password"])[1:-1] not in seen
    bound.cluster.delete().gone()
    path = f"/api/v1/namespaces/{namespace}/secrets/ledger-binding"
    bound.cluster.until(lambda: lab.api.json(path) is None, "the Secret is gone")


@scenario
def test_a_password_that_aws_rotates_is_handed_out_once_it_logs_in(lab: Lab, namespace: str) -> None:
    bound = Bound(lab, namespace).ready()
    before = bound.data
    bound.cluster.by_hand(RotateMasterUserPassword=True, ApplyImmediately=True)
    bound.cluster.until(lambda: bound.data["password"] != before["password"], "the new password is handed out")
    assert bound.ask("select 1") == [(1,)], "at the very moment at which it is handed out"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        bound.ask("select 1", before)
    bound.cluster.until(lambda: len(bound.cluster.told("Bound")) == 2)
    assert bound.cluster.told("Bound")[1] == (
        "Connection Secret ledger-binding has another password, reader-uri, uri; it logs in."
    )
    assert {**before, **{k: bound.data[k] for k in ("password", "uri", "reader-uri")}} == bound.data


@scenario
def test_a_password_that_a_secret_gives_is_handed_out_when_aws_has_it(lab: Lab, namespace: str) -> None:
    reference = {"credentials": {"passwordSecretRef": {"name": "master"}}}
    bound = Bound(lab, namespace, reference, apply=False)
    first, second = secrets.token_urlsafe(18), secrets.token_urlsafe(18)
    bound.cluster.secret("master", password=first)
    bound.cluster.apply()
    assert bound.ready().data["password"] == first
    assert bound.ask("select 1") == [(1,)]
    bound.cluster.secret("master", password=second)
    bound.cluster.until(lambda: bound.data["password"] == second, "the new password is handed out")
    assert bound.ask("select 1") == [(1,)], "at the very moment at which it is handed out"
    bound.cluster.settled()
    seen = json.dumps(bound.cluster.object) + json.dumps(bound.cluster.events)
    seen += "".join(log.read_text(errors="replace") for log in operator_logs(lab))
    assert first not in seen
    assert second not in seen


@scenario
def test_what_somebody_does_to_the_secret_is_set_back_and_told(lab: Lab, namespace: str) -> None:
    bound = Bound(lab, namespace).ready()
    data, uid = bound.data, bound.secret["metadata"]["uid"]
    bound.patch({"stringData": {"host": "db.example.com", "extra": "1"}, "data": {"port": None}})
    bound.cluster.look().until(lambda: bound.data == data, "it is set back")
    assert bound.secret["metadata"]["uid"] == uid
    lab.kubectl("delete", "secret", bound.name, "-n", namespace)
    bound.cluster.look().until(lambda: bound.data == data, "it is made again")
    bound.cluster.until(lambda: len(bound.cluster.told("DriftCorrected")) == 2, "both are told")
    assert bound.cluster.told("DriftCorrected") == [
        "Connection Secret ledger-binding was edited (host, port, other keys); set back.",
        "Connection Secret ledger-binding was deleted; made again.",
    ]
    # Where nothing may be changed, nothing is written; the plan says what would be.
    bound.cluster.annotate("mode", "Plan")
    lab.kubectl("delete", "secret", bound.name, "-n", namespace)
    bound.cluster.look().until(lambda: bound.cluster.steps == ["hand out connection Secret ledger-binding"])
    assert lab.api.json(f"/api/v1/namespaces/{namespace}/secrets/ledger-binding") is None
    bound.cluster.annotate("mode", None).until(lambda: bound.data == data, "the mode is off")


@scenario
def test_a_secret_of_somebody_else_is_never_touched(lab: Lab, namespace: str) -> None:
    bound = Bound(lab, namespace, apply=False)
    bound.cluster.secret("ledger-binding", host="theirs")
    theirs = bound.secret
    bound.cluster.apply()
    told = bound.cluster.wait("Bound", "False", reason="AlreadyExists", timeout=200)
    assert told["message"] == (
        f"Secret ledger-binding of namespace {namespace} was not made for this object and is left as it is: "
        "delete or rename it, and the connection Secret is made in its place."
    )
    bound.cluster.wait("Ready")
    bound.cluster.until(lambda: bound.cluster.told("AlreadyExists") == [told["message"]], "it is told once")
    assert told["message"] in bound.cluster.plan["refused"]
    assert "binding" not in bound.cluster.status
    assert bound.secret == theirs
    lab.kubectl("delete", "secret", "ledger-binding", "-n", namespace)
    bound.cluster.look()
    bound.ready()
    assert bound.ask("select 1") == [(1,)]


@scenario
def test_a_password_that_does_not_log_in_is_told_and_not_handed_out(lab: Lab, namespace: str) -> None:
    bound = Bound(lab, namespace).ready()
    data = bound.data
    bound.ask("alter role postgres password 'Somebody-Elses-1'")
    bound.cluster.look()
    told = bound.cluster.wait("Bound", "False", reason="LoginFailed")
    assert told["message"].startswith(f"The database at {data['host']}:5432 refuses the password;")
    bound.cluster.until(lambda: bound.cluster.told("LoginFailed") == [told["message"]], "it is told")
    assert bound.cluster.condition("Ready")["status"] == "True", "it serves; that is another question"
    assert bound.data == data
    bound.ask(f"alter role postgres password '{data['password']}'", {**data, "uri": _with(data, "Somebody-Elses-1")})
    bound.cluster.look()
    bound.ready()


def _with(data: dict[str, str], password: str) -> str:
    return f"postgresql://{data['username']}:{password}@{data['host']}:{data['port']}/{data['database']}?sslmode=verify-full"


@scenario
def test_where_no_login_can_be_tried_the_secret_goes_out_unproven_and_says_so(lab: Lab, namespace: str) -> None:
    mysql = Bound(
        lab, namespace, {"engine": {"type": "AuroraMySQL", "version": "8.0.mysql_aurora.3.10.0"}, "databaseName": None}
    ).ready("NotProven")
    assert mysql.cluster.condition("Bound")["message"].endswith("since the operator speaks no MySQL.")
    assert mysql.secret["type"] == "servicebinding.io/mysql"
    data = mysql.data
    assert data["uri"].startswith("mysql://admin:")
    assert data["uri"].endswith(f"@{data['host']}:3306/?ssl-mode=VERIFY_IDENTITY")
    assert "database" not in data
    # Behind this one there is no server, and its name leads nowhere.
    unreachable = Bound(lab, namespace, {"tags": None}, name="far").ready("NotProven")
    said = unreachable.cluster.condition("Bound")["message"]
    assert "no login from here could prove it: The database at " in said
    assert unreachable.data["password"] == lab.aws.rds_password(unreachable.cluster.cluster)
