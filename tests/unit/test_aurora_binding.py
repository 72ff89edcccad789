"""What the connection Secret holds, when it is handed out and what is said of it, as tables; and the authorities that go into it."""

from __future__ import annotations

import base64
import itertools
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg.conninfo
import pytest
from aurora_world import NAME, UID, Operator, spec
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.auroracluster import SecretKeyRef
from penstock.api.auroracluster_status import BindingStatus
from penstock.api.conditions import Reason
from penstock.aurora import binding, password
from penstock.aurora.binding import PATIENCE
from penstock.aurora.state import Binding, Proof, Stand
from penstock.aws.rds import Cluster, Instance, Member
from penstock.postgres.authorities import authorities
from penstock_lab.pki import Authority

CLUSTER = Cluster(
    NAME,
    status="available",
    endpoint="w.example.com",
    reader_endpoint="r.example.com",
    port=5432,
    members=(Member(f"{NAME}-1", writer=True),),
)
YES = Proof(True)
FAR = Proof(False, Reason.DATABASE_UNREACHABLE, "The database does not answer.", PATIENCE)
WRONG = Proof(False, Reason.LOGIN_FAILED, "The database refuses the password.", PATIENCE)
SOON = replace(FAR, failures=PATIENCE - 1)
STALE = ("password", "uri")


def desired(bound: bool = False, **fields: Any) -> Any:
    found = Operator(spec(**fields)).desired
    status = found.status.model_copy(update={"binding": BindingStatus(name="ledger-binding") if bound else None})
    return replace(found, status=status)


def steps(found: Binding, bound: bool = False) -> list[str]:
    return [s.drift or (s.told or ("", ""))[1] for s in binding.plan(desired(bound), found)[0]]


@pytest.mark.parametrize(
    ("found", "bound", "told"),
    [
        (
            Binding(Stand.ABSENT, STALE, proof=YES),
            False,
            ["Connection Secret ledger-binding is handed out; it logs in."],
        ),
        (Binding(Stand.ABSENT, STALE, proof=None), False, []),
        (Binding(Stand.ABSENT, STALE, proof=WRONG), False, []),
        (Binding(Stand.ABSENT, STALE, proof=SOON), False, []),
        (
            Binding(Stand.ABSENT, STALE, proof=FAR),
            False,
            ["Connection Secret ledger-binding is handed out; no login has proven it."],
        ),
        (
            Binding(Stand.ABSENT, STALE, provable=False),
            False,
            ["Connection Secret ledger-binding is handed out; no login has proven it."],
        ),
        (
            Binding(Stand.ABSENT, STALE, proof=YES),
            True,
            ["Connection Secret ledger-binding was deleted; made again."],
        ),
        (
            Binding(Stand.OURS, STALE, proof=YES),
            True,
            ["Connection Secret ledger-binding has another password, uri; it logs in."],
        ),
        (
            Binding(Stand.OURS, STALE, edited=True, proof=YES),
            True,
            ["Connection Secret ledger-binding was edited (password, uri); set back."],
        ),
        (Binding(Stand.OURS, STALE, proof=WRONG), True, []),
        (Binding(Stand.OURS, (), proof=YES), True, []),
        (Binding(Stand.OURS, (), edited=True, proof=YES), True, []),
        (Binding(Stand.GOING, STALE, proof=YES), True, []),
        (Binding(Stand.FOREIGN, STALE, proof=YES), False, []),
        (Binding(Stand.OURS, STALE, proof=YES, problem=("AccessDenied", "No.")), True, []),
    ],
)
def test_when_the_secret_is_written_and_what_is_told(found: Binding, bound: bool, told: list[str]) -> None:
    assert steps(found, bound) == told


SAID = {
    "conditions": [{"type": "Bound", "status": "True", "reason": "Bound", "message": "Secret ledger-binding logs in."}]
}


@pytest.mark.parametrize(
    ("found", "before", "said"),
    [
        (None, {}, None),
        (None, SAID, (True, "Bound")),
        (Binding(Stand.ABSENT, STALE, proof=None), {}, None),
        (Binding(Stand.OURS, (), proof=YES), {}, (True, "Bound")),
        (Binding(Stand.OURS, (), proof=FAR), {}, (True, "NotProven")),
        (Binding(Stand.OURS, (), proof=FAR), SAID, (True, "Bound")),
        (Binding(Stand.OURS, (), provable=False), {}, (True, "NotProven")),
        (Binding(Stand.OURS, (), proof=WRONG), SAID, (False, "LoginFailed")),
        (Binding(Stand.OURS, (), proof=replace(WRONG, failures=1)), SAID, (True, "Bound")),
        (Binding(Stand.OURS, STALE, proof=WRONG), SAID, (False, "LoginFailed")),
        (Binding(Stand.FOREIGN, STALE), {}, (False, "AlreadyExists")),
        (Binding(Stand.ABSENT, problem=("PasswordUnknown", "Write it.")), {}, (False, "PasswordUnknown")),
    ],
)
def test_what_is_said_of_it(found: Binding | None, before: dict[str, Any], said: tuple[bool, str] | None) -> None:
    condition = binding.condition(desired(), before, found)
    assert (None if condition is None else (condition.status, condition.reason)) == said


def test_whoever_reads_that_a_new_password_fails_learns_what_the_secret_holds_meanwhile() -> None:
    told = binding.condition(desired(), {}, Binding(Stand.OURS, STALE, proof=WRONG))
    assert told is not None
    assert told.message == "The database refuses the password. Secret ledger-binding stays as it was."


@given(
    st.builds(
        Binding,
        st.sampled_from(Stand),
        st.sampled_from([(), STALE]),
        st.booleans(),
        st.sampled_from([None, YES, FAR, WRONG, SOON]),
        st.booleans(),
        st.sampled_from([None, ("Refused", "No.")]),
    ),
    st.booleans(),
)
def test_a_secret_is_never_written_that_is_not_ours_or_would_not_log_in(found: Binding, bound: bool) -> None:
    written, refused = binding.plan(desired(bound), found)
    if found.stand in (Stand.FOREIGN, Stand.GOING) or (found.provable and found.proof == WRONG):
        assert not written
    assert bool(refused) == (found.stand is Stand.FOREIGN)
    assert all(not r.blocking for r in refused), "a Secret's name keeps no cluster from being ready"
    assert not (written and found.current)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=41))
def test_the_uri_gives_back_what_went_into_it(password: str) -> None:
    data = binding.content(desired(), CLUSTER, "post gres", password, "").data
    parsed = psycopg.conninfo.conninfo_to_dict(data["uri"])
    assert parsed == {
        "user": "post gres",
        "password": password,
        "host": "w.example.com",
        "port": "5432",
        "dbname": "postgres",
        "sslmode": "verify-full",
    }
    assert unquote(urlsplit(data["reader-uri"]).password or "") == password
    assert password not in repr(binding.content(desired(), CLUSTER, "postgres", password, ""))


def test_a_cluster_without_readers_endpoint_and_authorities_leaves_their_keys_out() -> None:
    data = binding.content(desired(), replace(CLUSTER, reader_endpoint=""), "postgres", "secret-12", "").data
    assert set(data) == {"type", "provider", "host", "port", "username", "password", "database", "uri"}


def test_whose_a_secret_is() -> None:
    wanted = binding.content(desired(), CLUSTER, "postgres", "secret-12", "")
    ours = binding.manifest(desired(), wanted)
    assert binding.stand(desired(), None, wanted) is Stand.ABSENT
    assert binding.stand(desired(), ours, wanted) is Stand.OURS
    assert ours["metadata"]["ownerReferences"][0]["uid"] == UID
    assert binding.stand(desired(), {**ours, "type": "Opaque"}, wanted) is Stand.FOREIGN
    assert (
        binding.stand(desired(), {"metadata": {"name": "ledger-binding"}, "type": wanted.type}, wanted) is Stand.FOREIGN
    )
    other = {**ours["metadata"]["ownerReferences"][0], "uid": "u-0"}
    old = {**ours, "metadata": {**ours["metadata"], "ownerReferences": [other]}}
    assert binding.stand(desired(), old, wanted) is Stand.GOING
    elsewhere = {**old, "metadata": {**old["metadata"], "ownerReferences": [{**other, "name": "orders"}]}}
    assert binding.stand(desired(), elsewhere, wanted) is Stand.FOREIGN


def test_the_longest_name_leaves_room() -> None:
    assert binding.secret_name("ledger") == "ledger-binding"
    assert len(binding.secret_name("a" * 253)) == 253


@pytest.mark.parametrize(
    ("change", "serves"),
    [
        ({}, True),
        ({"status": "modifying"}, True),
        ({"status": "failing-over"}, False),
        ({"status": "stopped"}, False),
        ({"endpoint": ""}, False),
        ({"members": (Member(f"{NAME}-1", writer=False),)}, False),
    ],
)
def test_a_login_is_tried_only_where_there_is_somebody_to_answer(change: dict[str, Any], serves: bool) -> None:
    assert binding.serves(replace(CLUSTER, **change), {}) is serves
    writer = Instance(f"{NAME}-1", status="rebooting")
    assert not binding.serves(CLUSTER, {writer.identifier: writer})


def test_the_authorities_of_the_region_alone_go_into_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = itertools.count()

    def authority(name: str) -> str:
        monkeypatch.setattr(x509, "NameAttribute", lambda oid, _: real(oid, name))
        return Authority(tmp_path / str(next(names))).cert.read_text()

    real = x509.NameAttribute
    home = [authority(f"Amazon RDS us-east-1 Root CA {kind} G1") for kind in ("RSA2048", "ECC384")]
    away = authority("Amazon RDS eu-west-1 Root CA RSA2048 G1")
    monkeypatch.undo()
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("".join([home[0], away, home[1]]))
    found = authorities(str(bundle), "us-east-1")
    assert _ders(found) == _ders("".join(home))
    assert _ders(authorities(str(bundle), "eu-west-1")) == _ders(away)
    # Whatever names no region is for all of them.
    assert len(_ders(authorities(str(bundle), "ap-south-1"))) == 3
    bundle.write_text(away)
    assert _ders(authorities(str(bundle), "us-east-1")) == _ders(away), "a file that was changed is read anew"
    assert authorities(str(tmp_path / "none"), "us-east-1") == ""


def _ders(text: str) -> set[bytes]:
    end = "-----END CERTIFICATE-----\n"
    return {ssl.PEM_cert_to_DER_cert(part + end) for part in text.split(end) if part.strip()}


def test_what_others_named_in_a_secret_and_how_long_a_password_is_stands_in_no_sentence() -> None:
    # More people may view a cluster than may read its namespace's Secrets.
    reference = SecretKeyRef(name="master", key="password")
    told = [
        password.judge(data, reference)[1]
        for data in (
            {"stripe-api-token": "c2VjcmV0"},
            {},
            *({"password": base64.b64encode(b"x" * n).decode()} for n in (1, 7, 42, 77)),
        )
    ]
    assert all(told)
    assert told[0] == told[1]
    assert len(set(told[2:])) == 1
    assert "stripe" not in "".join(told)
    wanted = binding.Content("servicebinding.io/postgresql", {"host": "a", "port": "5432"})
    assert binding.changed(wanted, {"host": "b", "port": "5432"}) == ("host",)
    assert binding.changed(wanted, {"host": "a", "port": "5432", "stripe-api-token": "x"}) == ("other keys",)
    assert binding.changed(wanted, dict(wanted.data)) == ()
