# ruff: noqa: E501 - a table is read across
"""Parameters of the family aurora-mysql8.0.

Names and levels: Aurora guide, "Aurora MySQL configuration parameters". Static is what MySQL lets nobody set while it runs
(its reference manual, "Server System Variables", Dynamic: No), and what AWS makes so.
"""

# name | AWS's value | static or dynamic, "!" where it may not be set | type | allowed values | level | meaning
TABLE = """
activate_all_roles_on_login            | 0      | dynamic | boolean | 0,1 | both | Make all granted roles active when a user logs in.
aurora_binlog_replication_max_yield_seconds | | dynamic | integer | 0-36000 | cluster | Seconds that a binary log dump yields to the writer.
aurora_oom_response                    |        | dynamic | string  | | both | What the server does when memory runs out.
aurora_parallel_query                  | OFF    | dynamic | boolean | ON,OFF | both | Whether queries may run in the storage layer.
auto_increment_increment               |        | dynamic | integer | 1-65535 | cluster | Step of automatic numbers.
auto_increment_offset                  |        | dynamic | integer | 1-65535 | cluster | First automatic number.
autocommit                             |        | dynamic | boolean | 0,1 | both | Whether each statement is a transaction.
aws_default_lambda_role                |        | dynamic | string  | | cluster | Role with which the cluster calls Lambda.
aws_default_s3_role                    |        | dynamic | string  | | cluster | Role with which the cluster reads and writes S3.
back_log                               |        | static  | integer | 1-65535 | both | Connections that may wait to be taken.
basedir                                | /rdsdbbin/oscar | static! | string | | both | Directory of the installation.
binlog_cache_size                      | 32768  | dynamic | integer | 4096-9223372036854775807 | both | Bytes of a transaction's binary log kept in memory.
binlog_checksum                        |        | dynamic | string  | NONE,CRC32 | cluster | Checksum of events in the binary log.
binlog_format                          | OFF    | static  | string  | ROW,STATEMENT,MIXED,OFF | cluster | Whether there is a binary log, and its form.
binlog_row_image                       | FULL   | dynamic! | string | full,minimal,noblob | cluster | Columns that a row event holds.
binlog_row_metadata                    |        | dynamic | string  | MINIMAL,FULL | cluster | How much a row event says of its table.
binlog_rows_query_log_events           |        | dynamic | boolean | 0,1 | cluster | Keep the statement beside its row events.
binlog_transaction_compression         |        | dynamic | boolean | 0,1 | both | Compress transactions in the binary log.
character_set_client                   |        | dynamic | string  | ascii,binary,latin1,utf8,utf8mb3,utf8mb4 | cluster | Character set of statements that come in.
character_set_connection               |        | dynamic | string  | ascii,binary,latin1,ucs2,utf16,utf32,utf8,utf8mb3,utf8mb4 | cluster | Character set of literals.
character_set_database                 |        | dynamic | string  | ascii,binary,latin1,ucs2,utf16,utf32,utf8,utf8mb3,utf8mb4 | cluster | Character set of the default database.
character_set_results                  |        | dynamic | string  | ascii,binary,latin1,ucs2,utf16,utf32,utf8,utf8mb3,utf8mb4 | cluster | Character set of answers.
character_set_server                   |        | dynamic | string  | ascii,binary,latin1,ucs2,utf16,utf32,utf8,utf8mb3,utf8mb4 | cluster | Character set of new databases.
collation_connection                   |        | dynamic | string  | | cluster | Collation of literals.
collation_server                       |        | dynamic | string  | | cluster | Collation of new databases.
connect_timeout                        |        | dynamic | integer | 2-31536000 | both | Seconds that a client has to say hello.
datadir                                | /rdsdbdata/db/ | static! | string | | both | Directory of the data.
default_authentication_plugin          |        | static! | string  | mysql_native_password,sha256_password,caching_sha2_password | both | How new users log in.
default_time_zone                      |        | static! | string  | | both | Time zone at start; time_zone is the one to set.
default_tmp_storage_engine             | InnoDB | dynamic | string  | InnoDB,MEMORY | both | Engine of temporary tables.
enforce_gtid_consistency               | OFF    | static  | string  | OFF,ON,WARN | cluster | Refuse what cannot be logged with a GTID.
eq_range_index_dive_limit              |        | dynamic | integer | 0-4294967295 | both | Ranges up to which the index itself is asked.
event_scheduler                        | ON     | dynamic | string  | ON,OFF | cluster | Whether events run.
explicit_defaults_for_timestamp        | 1      | dynamic | boolean | 0,1 | both | Whether timestamps have no implied defaults.
general_log                            | 0      | dynamic | boolean | 0,1 | both | Write every statement to the general log.
general_log_file                       | /rdsdbdata/log/general/mysql-general.log | static! | string | | both | File of the general log.
group_concat_max_len                   |        | dynamic | integer | 4-18446744073709547520 | both | Bytes that GROUP_CONCAT may give.
gtid-mode                              | OFF_PERMISSIVE | static | string | OFF,OFF_PERMISSIVE,ON_PERMISSIVE,ON | cluster | Whether transactions have GTIDs.
init_connect                           |        | dynamic | string  | | both | Statements run for each client that connects.
innodb_adaptive_hash_index             | 0      | dynamic | boolean | 0,1 | cluster | Whether InnoDB builds hash indexes of its own.
innodb_autoinc_lock_mode               |        | static  | integer | 0,1,2 | cluster | How automatic numbers are locked.
innodb_buffer_pool_size                | {DBInstanceClassMemory*3/4} | dynamic | integer | 5242880-18446744073709547520 | both | Bytes of InnoDB's cache.
innodb_deadlock_detect                 |        | dynamic | boolean | 0,1 | both | Whether deadlocks are looked for.
innodb_default_row_format              |        | dynamic | string  | DYNAMIC,COMPACT,REDUNDANT | cluster | Row format of new tables.
innodb_file_per_table                  | 1      | dynamic | boolean | 0,1 | cluster | A tablespace for each table.
innodb_flush_log_at_trx_commit         | 1      | dynamic! | integer | 0,1,2 | cluster | When the log is made durable.
innodb_ft_max_token_size               |        | static  | integer | 10-84 | cluster | Longest word of a full-text index.
innodb_ft_min_token_size               |        | static  | integer | 0-16 | cluster | Shortest word of a full-text index.
innodb_lock_wait_timeout               |        | dynamic | integer | 1-1073741824 | both | Seconds after which waiting for a row fails.
innodb_max_purge_lag                   |        | dynamic | integer | 0-4294967295 | both | Length of the purge queue at which writes are slowed.
innodb_open_files                      | 6000   | static  | integer | 10-2147483647 | both | Tablespaces open at a time.
innodb_page_size                       | 16384  | static! | integer | 4096,8192,16384,32768,65536 | cluster | Bytes of a page.
innodb_print_all_deadlocks             |        | dynamic | boolean | 0,1 | both | Write all deadlocks to the error log.
innodb_purge_threads                   | 3      | static  | integer | 1-32 | cluster | Threads that purge old versions.
innodb_read_only                       |        | static! | boolean | 0,1 | both | Whether the instance is a reader.
innodb_rollback_on_timeout             |        | static  | boolean | 0,1 | cluster | Roll back the whole transaction when a wait fails.
innodb_sort_buffer_size                |        | static  | integer | 65536-67108864 | both | Bytes for sorting when an index is built.
innodb_stats_persistent                |        | dynamic | boolean | 0,1 | both | Keep statistics over restarts.
innodb_strict_mode                     |        | dynamic | boolean | 0,1 | cluster | Refuse what InnoDB would otherwise mend.
interactive_timeout                    |        | dynamic | integer | 1-31536000 | both | Seconds of silence after which an interactive session ends.
internal_tmp_mem_storage_engine        | TempTable | dynamic | string | TempTable,MEMORY | both | Engine of internal temporary tables.
join_buffer_size                       |        | dynamic | integer | 128-18446744073709547520 | both | Bytes for a join without an index.
key_buffer_size                        | 16777216 | dynamic | integer | 8-4294967295 | both | Bytes of MyISAM's index cache.
lc_time_names                          |        | dynamic | string  | | cluster | Language of names of days and months.
local_infile                           | 1      | dynamic | boolean | 0,1 | both | Whether clients may load their own files.
lock_wait_timeout                      |        | dynamic | integer | 1-31536000 | both | Seconds after which waiting for a table's definition fails.
log-bin                                |        | static! | string  | | both | Follows from binlog_format.
log_bin_trust_function_creators        | 0      | dynamic | boolean | 0,1 | both | Let functions be made without a promise that they are safe to log.
log_output                             | FILE   | dynamic | string  | TABLE,FILE,NONE | both | Where the general and slow logs go.
log_queries_not_using_indexes          |        | dynamic | boolean | 0,1 | both | Write queries without an index to the slow log.
long_query_time                        |        | dynamic | float   | 0-31536000 | both | Seconds above which a query is slow.
lower_case_table_names                 | 0      | static  | integer | 0,1 | cluster | Whether names of tables are lower-cased; fixed when the cluster is made.
max_allowed_packet                     |        | dynamic | integer | 1024-1073741824 | both | Bytes of one message.
max_connect_errors                     |        | dynamic | integer | 1-9223372036854775807 | both | Failed connections after which a host is refused.
max_connections                        | GREATEST({log(DBInstanceClassMemory/805306368)*45},{log(DBInstanceClassMemory/8187281408)*1000}) | dynamic | integer | 1-16000 | both | Connections at a time.
max_execution_time                     |        | dynamic | integer | 0-4294967295 | both | Milliseconds after which a SELECT is cancelled.
max_heap_table_size                    |        | dynamic | integer | 16384-1844674407370954752 | both | Bytes of a table in memory.
max_prepared_stmt_count                |        | dynamic | integer | 0-4194304 | both | Prepared statements of the whole server.
max_user_connections                   |        | dynamic | integer | 0-4294967295 | both | Connections of one user.
net_read_timeout                       |        | dynamic | integer | 1-31536000 | both | Seconds of silence after which a read from a client fails.
net_write_timeout                      |        | dynamic | integer | 1-31536000 | both | Seconds after which a write to a client fails.
optimizer_switch                       |        | dynamic | string  | | both | Which tricks the optimizer may use.
partial_revokes                        |        | dynamic! | boolean | 0,1 | cluster | Whether a right on all may be taken for some.
performance_schema                     | 0      | static  | boolean | 0,1 | both | Whether the server measures itself.
port                                   | {EndPointPort} | static! | integer | 1150-65535 | both | Port that the server listens on.
read_only                              | {TrueIfReplica} | dynamic | string | 0,1,{TrueIfReplica} | cluster | Refuse writes of ordinary users.
replica_preserve_commit_order          |        | dynamic | boolean | 0,1 | cluster | Replay transactions in their order.
require_secure_transport               | OFF    | dynamic | boolean | ON,OFF | cluster | Refuse connections without TLS.
server_audit_events                    |        | dynamic | list    | CONNECT,QUERY,QUERY_DCL,QUERY_DDL,QUERY_DML,TABLE | cluster | Events that are audited.
server_audit_excl_users                |        | dynamic | string  | | cluster | Users that are not audited.
server_audit_incl_users                |        | dynamic | string  | | cluster | Users that alone are audited.
server_audit_logging                   | 0      | dynamic | boolean | 0,1 | cluster | Whether there is an audit log.
server_audit_logs_upload               | 0      | dynamic | boolean | 0,1 | cluster | Send the audit log to CloudWatch.
server_id                              | {ServerId} | static! | integer | | cluster | Number of the server in replication.
skip_name_resolve                      | 1      | static! | boolean | 0,1 | cluster | Never look up host names.
slow_launch_time                       |        | dynamic | integer | 0-31536000 | both | Seconds above which starting a thread is slow.
slow_query_log                         | 0      | dynamic | boolean | 0,1 | both | Whether there is a slow log.
slow_query_log_file                    | /rdsdbdata/log/slowquery/mysql-slowquery.log | static! | string | | both | File of the slow log.
sort_buffer_size                       |        | dynamic | integer | 32768-18446744073709547520 | both | Bytes for each sort.
sql_mode                               |        | dynamic | list    | ALLOW_INVALID_DATES,ANSI_QUOTES,ERROR_FOR_DIVISION_BY_ZERO,HIGH_NOT_PRECEDENCE,IGNORE_SPACE,NO_AUTO_VALUE_ON_ZERO,NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION,NO_UNSIGNED_SUBTRACTION,NO_ZERO_DATE,NO_ZERO_IN_DATE,ONLY_FULL_GROUP_BY,PAD_CHAR_TO_FULL_LENGTH,PIPES_AS_CONCAT,REAL_AS_FLOAT,STRICT_ALL_TABLES,STRICT_TRANS_TABLES,ANSI,TRADITIONAL | both | How strict SQL is.
table_definition_cache                 | LEAST({DBInstanceClassMemory/393040},20000) | dynamic | integer | 400-524288 | both | Table definitions kept.
table_open_cache                       | LEAST({DBInstanceClassMemory/1179121},6000) | dynamic | integer | 1-524288 | both | Tables kept open.
thread_cache_size                      |        | dynamic | integer | 0-16384 | both | Threads kept for later.
time_zone                              | UTC    | dynamic | string  | | cluster | Time zone of the server.
tls_version                            | TLSv1.2,TLSv1.3 | static | list | TLSv1.2,TLSv1.3 | cluster | Versions of TLS taken.
tmp_table_size                         |        | dynamic | integer | 1024-18446744073709547520 | both | Bytes of an internal temporary table in memory.
transaction_isolation                  |        | dynamic | string  | READ-UNCOMMITTED,READ-COMMITTED,REPEATABLE-READ,SERIALIZABLE | both | Isolation level of a new transaction.
wait_timeout                           |        | dynamic | integer | 1-31536000 | both | Seconds of silence after which a session ends.
"""
