"""Names that an engine keeps for itself: for the master user and the first database.

PostgreSQL: its manual, appendix "SQL Key Words", column "reserved"; MySQL: its manual, "Keywords and Reserved Words". Both
with what RDS adds. That ``postgres`` is free, ``admin`` is not for PostgreSQL but is for MySQL, and ``rdsadmin`` is for
neither was tried on AWS by aws-cloudformation/cfn-lint (pull request 4425).
"""

from __future__ import annotations

from .catalog import MYSQL

_POSTGRESQL_WORDS = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
    concurrently constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from
    full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime
    localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning
    right select session_user similar some symmetric system_user table tablesample then to trailing true union unique user
    using variadic verbose when where window with
"""
_MYSQL_WORDS = """
    accessible add all alter analyze and as asc asensitive before between bigint binary blob both by call cascade case
    change char character check collate column condition constraint continue convert create cross cube cume_dist
    current_date current_time current_timestamp current_user cursor database databases day_hour day_microsecond day_minute
    day_second dec decimal declare default delayed delete dense_rank desc describe deterministic distinct distinctrow div
    double drop dual each else elseif empty enclosed escaped except exists exit explain false fetch first_value float for
    force foreign from fulltext function generated get grant group grouping groups having high_priority hour_microsecond
    hour_minute hour_second if ignore in index infile inner inout insensitive insert int integer intersect interval into is
    iterate join json_table key keys kill lag last_value lateral lead leading leave left like limit linear lines load
    localtime localtimestamp lock long longblob longtext loop low_priority match maxvalue mediumblob mediumint mediumtext
    minute_microsecond minute_second mod modifies natural not nth_value ntile null numeric of on optimize optimizer_costs
    option optionally or order out outer outfile over partition percent_rank precision primary procedure purge range rank
    read reads real recursive references regexp release rename repeat replace require resignal restrict return revoke right
    rlike row row_number rows schema schemas second_microsecond select sensitive separator set show signal smallint spatial
    specific sql sqlexception sqlstate sqlwarning ssl starting stored straight_join system table terminated then tinyblob
    tinyint tinytext to trailing trigger true undo union unique unlock unsigned update usage use using utc_date utc_time
    utc_timestamp values varbinary varchar varying virtual when where while window with write xor year_month zerofill
"""
_POSTGRESQL = frozenset(_POSTGRESQL_WORDS.split())
_MYSQL = frozenset(_MYSQL_WORDS.split())
_POSTGRESQL_USERS = frozenset({"admin", "public", "none", "rdsadmin", "rdsrepladmin", "rdstopmgr"})
_MYSQL_USERS = frozenset({"rdsadmin", "root", "rdsproxyadmin", "rdsrepladmin"})
_POSTGRESQL_DATABASES = frozenset({"rdsadmin", "template0", "template1"})
_MYSQL_DATABASES = frozenset({"mysql", "information_schema", "performance_schema", "sys", "innodb", "tmp"})


def user(engine: str, name: str) -> bool:
    """Whether the master user may not be called so."""
    name = name.lower()
    if engine == MYSQL:
        return name in _MYSQL or name in _MYSQL_USERS
    return name in _POSTGRESQL or name in _POSTGRESQL_USERS or name.startswith(("pg_", "rds_"))


def database(engine: str, name: str) -> bool:
    """Whether the first database may not be called so."""
    name = name.lower()
    if engine == MYSQL:
        return name in _MYSQL or name in _MYSQL_DATABASES
    return name in _POSTGRESQL or name in _POSTGRESQL_DATABASES
