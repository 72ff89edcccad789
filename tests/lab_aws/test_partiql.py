"""PartiQL: developer guide, "PartiQL - a SQL-compatible query language for Amazon DynamoDB".

What each statement answers was also measured against AWS by the public suite dynamodb-conformance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def run(ddb: Any) -> Callable[..., list[dict[str, Any]]]:
    def execute(statement: str, *parameters: Any, **more: Any) -> list[dict[str, Any]]:
        given = {"Parameters": list(parameters)} if parameters else {}
        return list(ddb.execute_statement(Statement=statement, **given, **more)["Items"])

    return execute


@pytest.fixture
def table(ddb: Any, make: Callable[..., str]) -> str:
    name = make(
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("sk", "N"), ("g", "S"))
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-g",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    for number in range(4):
        ddb.put_item(
            TableName=name,
            Item={
                "pk": {"S": "it's" if number == 3 else "a"},
                "sk": {"N": str(number)},
                "g": {"S": f"group-{number}"},
                "m": {"M": {"deep": {"L": [{"N": "7"}, {"M": {"on": {"BOOL": True}}}]}}},
                "tags": {"SS": ["x", f"t{number}"]},
            },
        )
    return name


@pytest.mark.parametrize(
    ("where", "parameters", "found"),
    [
        ("pk = 'a'", (), [0, 1, 2]),
        ("pk = 'it''s'", (), [3]),
        ("pk = ? AND sk >= ?", ({"S": "a"}, {"N": "1"}), [1, 2]),
        ("pk = 'a' AND sk = 1", (), [1]),
        ("pk = 'a' AND sk > 0 AND g <> 'group-1'", (), [2]),
        ("begins_with(\"g\", 'group-') AND contains(tags, 't3')", (), [3]),
        ("sk IN [0, 3]", (), [0, 3]),
        ("sk BETWEEN 1 AND 2 OR pk = 'it''s'", (), [1, 2, 3]),
        ('NOT (sk < 2) AND m.deep[0] = 7 AND m.deep[1]."on" = true', (), [2, 3]),
        ("absent IS MISSING AND g IS NOT MISSING AND size(tags) = 2 AND sk = 0", (), [0]),
        ("attribute_type(m, 'M') AND sk != 0", (), [1, 2, 3]),
        ("sk = 9", (), []),
    ],
)
def test_select(run, table, where, parameters, found):
    rows = run(f'SELECT * FROM "{table}" WHERE {where}', *parameters)
    assert sorted(int(row["sk"]["N"]) for row in rows) == found


def test_select_names_columns_and_indexes_and_order(run, table):
    rows = run(f"SELECT sk, m.deep[1].\"on\" FROM {_quoted(table)} WHERE pk = 'a' ORDER BY sk DESC")
    assert rows == [{"sk": {"N": str(n)}, "on": {"BOOL": True}} for n in (2, 1, 0)]
    (row,) = run(f"SELECT * FROM {_quoted(table)}.\"by-g\" WHERE g = 'group-2'")
    assert row.keys() == {"pk", "sk", "g"}


def _quoted(name: str) -> str:
    return f'"{name}"'


def test_select_comes_in_pages(ddb, table):
    statement = {"Statement": f"SELECT * FROM {_quoted(table)} WHERE pk = 'a'", "Limit": 2}
    page = ddb.execute_statement(**statement)
    rest = ddb.execute_statement(**statement, NextToken=page["NextToken"])
    assert [row["sk"]["N"] for row in page["Items"] + rest["Items"]] == ["0", "1", "2"]
    assert "NextToken" not in rest


def test_insert_makes_a_new_item_only(ddb, run, table, refused):
    value = "{'pk': 'b', 'sk': 1.50, 'n': null, 'l': [1, 'x', {'in': true}], 's': <<'a', 'b'>>, 'p': ?}"
    statement = f"INSERT INTO {_quoted(table)} VALUE {value}"
    assert run(statement, {"B": b"\x01"}) == []
    assert ddb.get_item(TableName=table, Key={"pk": {"S": "b"}, "sk": {"N": "1.5"}})["Item"] == {
        "pk": {"S": "b"},
        "sk": {"N": "1.5"},
        "n": {"NULL": True},
        "l": {"L": [{"N": "1"}, {"S": "x"}, {"M": {"in": {"BOOL": True}}}]},
        "s": {"SS": ["a", "b"]},
        "p": {"B": b"\x01"},
    }
    said = refused("DuplicateItemException", ddb.execute_statement, Statement=statement, Parameters=[{"S": "again"}])
    assert said == "Duplicate primary key exists in table"
    assert "Missing the key sk" in refused(
        "ValidationException", ddb.execute_statement, Statement=f"INSERT INTO {_quoted(table)} VALUE {{'pk': 'b'}}"
    )


def test_update_and_delete_are_of_one_item(ddb, run, table, refused):
    where = "WHERE pk = 'a' AND sk = 1"
    changed = run(
        f"UPDATE {_quoted(table)} SET n = 1, m.deep = list_append(m.deep, [8]), tags = set_add(tags, <<'z'>>) REMOVE g {where} "
        "AND begins_with(g, 'group') RETURNING ALL NEW *"
    )
    assert changed[0]["n"] == {"N": "1"}
    assert changed[0]["m"]["M"]["deep"]["L"][2] == {"N": "8"}
    assert set(changed[0]["tags"]["SS"]) == {"x", "t1", "z"}
    assert "g" not in changed[0]
    (modified,) = run(f"UPDATE {_quoted(table)} SET n = n + 4 {where} RETURNING MODIFIED OLD *")
    assert modified == {"n": {"N": "1"}}
    for wrong, code in (
        (f"UPDATE {_quoted(table)} SET n = 1 WHERE pk = 'a'", "ValidationException"),
        (f"UPDATE {_quoted(table)} SET n = 1 WHERE pk = 'a' AND sk = 77", "ConditionalCheckFailedException"),
        (f"DELETE FROM {_quoted(table)} {where} AND n = 1", "ConditionalCheckFailedException"),
        (f"DELETE FROM {_quoted(table)} WHERE sk = 1", "ValidationException"),
    ):
        refused(code, ddb.execute_statement, Statement=wrong)
    (old,) = run(f"DELETE FROM {_quoted(table)} {where} AND n = 5 RETURNING ALL OLD *")
    assert old["n"] == {"N": "5"}
    assert run(f"DELETE FROM {_quoted(table)} {where}") == []
    assert ddb.scan(TableName=table)["Count"] == 3


@pytest.mark.parametrize(
    "wrong",
    [
        "SELECTT * FROMM t",
        "SELECT * FROM t WHERE",
        "SELECT * FROM t WHERE pk = 'open",
        "SELECT * FROM t WHERE pk = ?",
        "SELECT * FROM t WHERE pk ~ 1",
        "INSERT INTO t VALUE [1]",
        "INSERT INTO t VALUE {'pk': <<1, 'a'>>}",
        "UPDATE t WHERE pk = 'a'",
        "SELECT * FROM t; DELETE FROM t",
        "SELECT * FROM t WHERE " + "(" * 150 + "pk = 'a'" + ")" * 150,
        "",
    ],
)
def test_statements_that_are_no_partiql(client, refused, wrong):
    refused("ValidationException", client(validate=False).execute_statement, Statement=wrong)


def test_a_table_that_is_not_there(ddb, refused):
    refused("ResourceNotFoundException", ddb.execute_statement, Statement="SELECT * FROM nothing WHERE pk = 'a'")


def test_a_batch_answers_for_each_statement(client, ddb, table, refused):
    statements = [
        f"SELECT * FROM {_quoted(table)} WHERE pk = 'a' AND sk = 0",
        "SELECT * FROM nothing WHERE pk = 'a'",
        f"INSERT INTO {_quoted(table)} VALUE {{'pk': 'a', 'sk': 0}}",
        f"INSERT INTO {_quoted(table)} VALUE {{'pk': 'new', 'sk': 0}}",
        f"SELECT * FROM {_quoted(table)} WHERE pk = 'a'",
        f"UPDATE {_quoted(table)} SET n = 1 WHERE pk = 'none' AND sk = 1",
    ]
    answers = ddb.batch_execute_statement(Statements=[{"Statement": one} for one in statements])["Responses"]
    assert answers[0]["Item"]["sk"] == {"N": "0"}
    assert [answer.get("Error", {}).get("Code") for answer in answers] == [
        None,
        "ResourceNotFound",
        "DuplicateItem",
        None,
        "ValidationError",
        "ConditionalCheckFailed",
    ]
    refused("ValidationException", client(validate=False).batch_execute_statement, Statements=[])


def test_a_transaction_is_all_or_nothing(client, ddb, table, refused):
    def transact(*statements: str) -> list[dict[str, Any]]:
        return list(ddb.execute_transaction(TransactStatements=[{"Statement": one} for one in statements])["Responses"])

    insert = f"INSERT INTO {_quoted(table)} VALUE {{'pk': 'new', 'sk': 0}}"
    exists = f"EXISTS(SELECT * FROM {_quoted(table)} WHERE pk = 'a' AND sk = 0 AND g = 'group-0')"
    with pytest.raises(ddb.exceptions.TransactionCanceledException) as caught:
        transact(insert, f"INSERT INTO {_quoted(table)} VALUE {{'pk': 'a', 'sk': 1}}")
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == ["None", "DuplicateItem"]
    with pytest.raises(ddb.exceptions.TransactionCanceledException):
        transact(insert, exists.replace("group-0", "other"))
    assert ddb.scan(TableName=table)["Count"] == 4
    transact(insert, exists, f"UPDATE {_quoted(table)} SET n = 1 WHERE pk = 'a' AND sk = 1")
    read = transact(
        f"SELECT * FROM {_quoted(table)} WHERE pk = 'new' AND sk = 0",
        f"SELECT n FROM {_quoted(table)} WHERE pk = 'a' AND sk = 1",
        f"SELECT * FROM {_quoted(table)} WHERE pk = 'no' AND sk = 1",
    )
    assert read == [{"Item": {"pk": {"S": "new"}, "sk": {"N": "0"}}}, {"Item": {"n": {"N": "1"}}}, {}]
    refused("ValidationException", client(validate=False).execute_transaction, TransactStatements=[])
