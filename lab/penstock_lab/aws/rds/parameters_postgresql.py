# ruff: noqa: E501 - a table is read across
"""Parameters of the families aurora-postgresql13 to 17.

Names, defaults and levels: Aurora guide, "Amazon Aurora PostgreSQL parameters". Static is what PostgreSQL reads at start
alone (its manual, chapter "Server Configuration", "can only be set at server start"), and what AWS makes so.
"""

# name | AWS's value | static or dynamic, "!" where it may not be set | type | allowed values | level and majors | meaning
TABLE = """
apg_ccm_enabled                        |        | dynamic | boolean | 0,1 | cluster | Cluster cache management: the tier-0 reader follows the writer's cache.
apg_plan_mgmt.capture_plan_baselines   | off    | dynamic | string  | off,manual,automatic | both | Which statements have their plans captured.
apg_plan_mgmt.use_plan_baselines       | false  | dynamic | boolean | true,false | both | Run managed statements with approved plans only.
application_name                       |        | dynamic | string  | | both | Name shown in statistics and logs.
authentication_timeout                 |        | dynamic | integer | 1-600 | both | Seconds that a client has to authenticate.
auto_explain.log_analyze               |        | dynamic | boolean | 0,1 | both | Log plans with what was measured.
auto_explain.log_format                |        | dynamic | string  | text,xml,json,yaml | both | Form of logged plans.
auto_explain.log_min_duration          |        | dynamic | integer | -1-2147483647 | both | Milliseconds above which a plan is logged.
autovacuum                             |        | dynamic | boolean | 0,1 | cluster | Whether autovacuum runs.
autovacuum_analyze_scale_factor        | 0.05   | dynamic | float   | 0-100 | cluster | Share of changed rows that makes a table due for analyze.
autovacuum_freeze_max_age              |        | static  | integer | 10000000-2000000000 | cluster | Age at which a table is vacuumed against wraparound.
autovacuum_max_workers                 | GREATEST({DBInstanceClassMemory/64371566592},3) | static | integer | 1-262143 | cluster | Autovacuum workers at a time.
autovacuum_naptime                     | 5      | dynamic | integer | 1-2147483 | cluster | Seconds between two rounds of autovacuum.
autovacuum_vacuum_cost_delay           | 5      | dynamic | float   | -1-100 | cluster | Milliseconds that autovacuum sleeps when its cost limit is reached.
autovacuum_vacuum_cost_limit           | GREATEST({log(DBInstanceClassMemory/21474836480)*600},200) | dynamic | integer | -1-10000 | cluster | Cost after which autovacuum sleeps.
autovacuum_vacuum_scale_factor         | 0.1    | dynamic | float   | 0-100 | cluster | Share of dead rows that makes a table due for vacuum.
autovacuum_work_mem                    | GREATEST({DBInstanceClassMemory/32768},131072) | dynamic | integer | -1-2147483647 | cluster | Kilobytes for each autovacuum worker.
checkpoint_timeout                     |        | dynamic! | integer | 30-86400 | cluster | Seconds between checkpoints; Aurora's storage has none.
client_connection_check_interval       |        | dynamic | integer | 0-2147483647 | both 14 | Milliseconds between looks at whether the client is still there.
client_encoding                        | UTF8   | dynamic | string  | | cluster | Encoding of clients.
client_min_messages                    |        | dynamic | string  | debug5,debug4,debug3,debug2,debug1,log,notice,warning,error | both | Least level of messages sent to clients.
compute_query_id                       | auto   | dynamic | string  | on,off,auto,regress | cluster 14 | Whether query identifiers are computed.
config_file                            | /rdsdbdata/config/postgresql.conf | static! | string | | both | The server's configuration file.
cron.database_name                     | postgres | static | string | | both | Database that holds pg_cron's jobs.
cron.log_run                           | on     | static  | boolean | on,off | both | Keep each run of a job in a table.
cron.max_running_jobs                  | 5      | static  | integer | 0-100 | both | Jobs of pg_cron that run at a time.
data_directory                         | /rdsdbdata/db | static! | string | | cluster | The server's data directory.
datestyle                              |        | dynamic | string  | | cluster | Form of dates.
deadlock_timeout                       |        | dynamic | integer | 1-2147483647 | both | Milliseconds of waiting before a deadlock is looked for.
default_statistics_target              |        | dynamic | integer | 1-10000 | both | Detail of the planner's statistics.
default_transaction_isolation          |        | dynamic | string  | serializable,repeatable read,read committed,read uncommitted | both | Isolation level of a new transaction.
default_transaction_read_only          |        | dynamic | boolean | 0,1 | both | Whether a new transaction is read-only.
effective_cache_size                   | SUM({DBInstanceClassMemory/12038},-50003) | dynamic | integer | 1-2147483647 | both | What the planner takes the cache to be, in 8 kB pages.
effective_io_concurrency               |        | dynamic | integer | 0-1000 | both | Concurrent reads that the planner reckons with.
enable_hashjoin                        |        | dynamic | boolean | 0,1 | both | Let the planner use hash joins.
enable_nestloop                        |        | dynamic | boolean | 0,1 | both | Let the planner use nested loops.
enable_partitionwise_join              |        | dynamic | boolean | 0,1 | both | Let the planner join partition by partition.
enable_seqscan                         |        | dynamic | boolean | 0,1 | both | Let the planner scan whole tables.
fsync                                  | 1      | dynamic! | boolean | 0,1 | cluster | Whether writes are forced to disk.
full_page_writes                       | 0      | dynamic! | boolean | 0,1 | cluster | Whether whole pages go to the WAL; Aurora's storage needs none.
geqo_threshold                         |        | dynamic | integer | 2-2147483647 | both | Number of FROM items from which plans are searched genetically.
hash_mem_multiplier                    |        | dynamic | float   | 1-1000 | both | Multiple of work_mem for hash tables.
hot_standby_feedback                   | on     | dynamic! | boolean | on,off | both | Whether readers tell the writer what they still need.
huge_pages                             | on     | static! | string  | on,off,try | cluster | Whether the server uses huge pages.
idle_in_transaction_session_timeout    | 86400000 | dynamic | integer | 0-2147483647 | both | Milliseconds after which an idle transaction is ended.
idle_session_timeout                   |        | dynamic | integer | 0-2147483647 | both 14 | Milliseconds after which an idle session is ended.
intervalstyle                          |        | dynamic | string  | postgres,postgres_verbose,sql_standard,iso_8601 | cluster | Form of intervals.
jit                                    |        | dynamic | boolean | 0,1 | both | Whether queries may be compiled.
lc_messages                            |        | dynamic | string  | | both | Language of messages.
listen_addresses                       | *      | static! | string  | | both | Addresses that the server listens on.
lock_timeout                           |        | dynamic | integer | 0-2147483647 | both | Milliseconds after which waiting for a lock fails.
log_autovacuum_min_duration            | 10000  | dynamic | integer | -1-2147483647 | cluster | Milliseconds above which an autovacuum is logged.
log_connections                        |        | dynamic | boolean | 0,1 | both | Log each connection.
log_destination                        | stderr | dynamic | string  | stderr,csvlog | both | Form of the server log.
log_disconnections                     |        | dynamic | boolean | 0,1 | both | Log each end of a session.
log_duration                           |        | dynamic | boolean | 0,1 | both | Log how long each statement took.
log_error_verbosity                    |        | dynamic | string  | terse,default,verbose | both | How much a logged message says.
log_hostname                           | 0      | dynamic | boolean | 0,1 | both | Log the client's host name.
log_line_prefix                        | %t:%r:%u@%d:[%p]: | dynamic! | string | | both | Beginning of each line of the log.
log_lock_waits                         |        | dynamic | boolean | 0,1 | both | Log long waits for locks.
log_min_duration_sample                |        | dynamic | integer | -1-2147483647 | both | Milliseconds above which a sample of statements is logged.
log_min_duration_statement             |        | dynamic | integer | -1-2147483647 | both | Milliseconds above which a statement is logged.
log_min_error_statement                |        | dynamic | string  | debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic | both | Level from which a message's statement is logged.
log_min_messages                       |        | dynamic | string  | debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic | both | Least level of logged messages.
log_rotation_age                       | 60     | dynamic | integer | 1-1440 | both | Minutes after which a new log file begins.
log_rotation_size                      | 100000 | dynamic | integer | 0-2097151 | both | Kilobytes after which a new log file begins.
log_statement                          |        | dynamic | string  | none,ddl,mod,all | both | Kinds of statements logged.
log_statement_sample_rate              |        | dynamic | float   | 0-1 | both | Share of sampled statements that is logged.
log_temp_files                         |        | dynamic | integer | -1-2147483647 | both | Kilobytes above which a temporary file is logged.
logical_decoding_work_mem              |        | dynamic | integer | 64-2147483647 | both | Kilobytes for decoding before it spills to disk.
maintenance_work_mem                   | GREATEST({DBInstanceClassMemory/63963136*1024},65536) | dynamic | integer | 1024-2147483647 | both | Kilobytes for vacuum and index builds.
max_connections                        | LEAST({DBInstanceClassMemory/9531392},5000) | static | integer | 6-262143 | both | Connections at a time.
max_locks_per_transaction              | 64     | static  | integer | 10-2147483647 | both | Locks that a transaction may hold, on average.
max_logical_replication_workers        |        | static  | integer | 0-262143 | cluster | Workers of logical replication.
max_parallel_maintenance_workers       |        | dynamic | integer | 0-1024 | both | Workers for one maintenance command.
max_parallel_workers                   | GREATEST({DBInstanceVCPU/2},8) | dynamic | integer | 0-1024 | both | Parallel workers at a time.
max_parallel_workers_per_gather        |        | dynamic | integer | 0-1024 | both | Parallel workers for one node of a plan.
max_prepared_transactions              | 0      | static  | integer | 0-262143 | cluster | Prepared transactions at a time.
max_replication_slots                  | 20     | static  | integer | 5-262143 | cluster | Replication slots.
max_slot_wal_keep_size                 |        | dynamic | integer | -1-2147483647 | both | Megabytes of WAL that a slot may hold back.
max_stack_depth                        | 6144   | dynamic | integer | 100-2147483647 | both | Kilobytes of stack.
max_standby_streaming_delay            | 14000  | dynamic | integer | -1-30000 | both | Milliseconds before a reader cancels queries that stand in the way.
max_wal_senders                        | 10     | static  | integer | 5-100 | cluster | WAL senders at a time.
max_worker_processes                   | GREATEST({DBInstanceVCPU*2},8) | static | integer | 1-262143 | both | Background workers at a time.
old_snapshot_threshold                 |        | static  | integer | -1-86400 | both 13-16 | Minutes after which a snapshot is too old.
password_encryption                    |        | dynamic | string  | md5,scram-sha-256 | cluster | How new passwords are kept.
pg_stat_statements.max                 |        | static  | integer | 100-2147483647 | both | Statements that pg_stat_statements follows.
pg_stat_statements.track               |        | dynamic | string  | top,all,none | both | Which statements are followed.
pgaudit.log                            |        | dynamic | list    | ddl,function,misc,read,role,write,none,all,-ddl,-function,-misc,-read,-role,-write,misc_set,-misc_set | both | Classes of statements that are audited.
pgaudit.role                           |        | static  | string  | rds_pgaudit | both | Role whose grants are audited.
plan_cache_mode                        |        | dynamic | string  | auto,force_generic_plan,force_custom_plan | cluster | Whether prepared statements keep one plan.
port                                   | {EndPointPort} | static! | integer | 1150-65535 | cluster | Port that the server listens on.
random_page_cost                       |        | dynamic | float   | 0-1.79769e+308 | both | Planner's cost of a page read at random.
rds.accepted_password_auth_method      | md5+scram | dynamic | string | md5+scram,scram | cluster | Kinds of password authentication taken.
rds.adaptive_autovacuum                | 1      | dynamic | boolean | 0,1 | cluster | Let RDS make autovacuum harder as wraparound nears.
rds.babelfish_status                   | off    | static  | string  | on,off,datadefinitiononly | cluster | Whether Babelfish listens.
rds.enable_plan_management             | 0      | static  | boolean | 0,1 | cluster | Whether the extension apg_plan_mgmt may be used.
rds.extensions                         | amcheck,apg_plan_mgmt,aws_s3,citext,hstore,pg_cron,pg_stat_statements,pg_trgm,pgaudit,pgcrypto,postgis,postgres_fdw,uuid-ossp,vector | static! | list | | cluster | Extensions that can be made.
rds.force_admin_logging_level          |        | dynamic | string  | disabled,debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic | cluster | Level at which RDS's own sessions are logged.
rds.force_autovacuum_logging_level     | warning | dynamic | string | disabled,debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic | cluster | Level at which autovacuum is logged.
rds.force_ssl                          | 0      | dynamic | boolean | 0,1 | cluster 13-16 | Refuse connections without TLS.
rds.force_ssl                          | 1      | dynamic | boolean | 0,1 | cluster 17 | Refuse connections without TLS.
rds.global_db_rpo                      |        | dynamic | integer | 20-2147483647 | cluster | Seconds of lag of a global database at which commits wait.
rds.log_retention_period               | 4320   | dynamic | integer | 1440-10080 | cluster | Minutes that log files are kept.
rds.logical_replication                | 0      | static  | boolean | 0,1 | cluster | Make the WAL logical.
rds.rds_superuser_reserved_connections | 2      | static  | integer | 0-262143 | cluster | Connections kept for rds_superuser.
rds.restrict_password_commands         |        | static  | boolean | 0,1 | cluster | Only members of rds_password may change passwords.
search_path                            |        | dynamic | string  | | both | Order in which schemas are searched.
seq_page_cost                          |        | dynamic | float   | 0-1.79769e+308 | both | Planner's cost of a page read in order.
session_replication_role               |        | dynamic | string  | origin,replica,local | cluster | Whether triggers and rules fire.
shared_buffers                         | SUM({DBInstanceClassMemory/12038},-50003) | static | integer | 16-1073741823 | both | The server's cache, in 8 kB pages.
shared_preload_libraries               | pg_stat_statements | static | list | apg_plan_mgmt,auto_explain,orafce,pg_bigm,pg_cron,pg_hint_plan,pg_prewarm,pg_similarity,pg_stat_statements,pg_tle,pgaudit,pglogical,plprofiler,plrust | both | Libraries loaded at start.
ssl                                    | 1      | dynamic! | boolean | 0,1 | cluster | Whether the server offers TLS.
ssl_ciphers                            |        | dynamic | list    | | cluster | Cipher suites offered.
ssl_max_protocol_version               |        | dynamic | string  | TLSv1,TLSv1.1,TLSv1.2,TLSv1.3 | cluster | Highest version of TLS taken.
ssl_min_protocol_version               | TLSv1.2 | dynamic | string | TLSv1,TLSv1.1,TLSv1.2,TLSv1.3 | cluster | Lowest version of TLS taken.
statement_timeout                      |        | dynamic | integer | 0-2147483647 | both | Milliseconds after which a statement is cancelled.
superuser_reserved_connections         | 3      | static! | integer | 0-262143 | both | Connections kept for the superuser.
synchronous_commit                     | on     | dynamic | string  | local,on,off | both | Whether a commit waits until it is durable.
tcp_keepalives_count                   |        | dynamic | integer | 0-2147483647 | both | Lost keepalives after which a connection is dead.
tcp_keepalives_idle                    |        | dynamic | integer | 0-2147483647 | both | Seconds of silence before the first keepalive.
tcp_keepalives_interval                |        | dynamic | integer | 0-2147483647 | both | Seconds between keepalives.
temp_buffers                           |        | dynamic | integer | 100-1073741823 | both | Pages for a session's temporary tables.
temp_file_limit                        | -1     | dynamic | integer | -1-2147483647 | both | Kilobytes of temporary files of one process.
timezone                               | UTC    | dynamic | string  | | cluster | Time zone of sessions.
track_activity_query_size              | 4096   | static  | integer | 100-1048576 | both | Bytes of a running query that are shown.
track_commit_timestamp                 |        | static  | boolean | 0,1 | cluster | Keep the time of each commit.
track_functions                        | pl     | dynamic | string  | none,pl,all | both | Which functions are counted.
track_io_timing                        | 1      | dynamic | boolean | 0,1 | both | Time reads and writes.
vacuum_cost_delay                      |        | dynamic | integer | 0-100 | cluster | Milliseconds that vacuum sleeps when its cost limit is reached.
vacuum_failsafe_age                    | 1200000000 | dynamic | integer | 0-1200000000 | cluster 14 | Age at which vacuum hurries against wraparound.
wal_buffers                            |        | static  | integer | -1-262143 | both | WAL buffers, in 8 kB pages.
wal_receiver_timeout                   | 30000  | dynamic | integer | 0-3600000 | both | Milliseconds without data after which a receiver gives up.
wal_sender_timeout                     |        | dynamic | integer | 0-3600000 | both | Milliseconds without an answer after which a sender gives up.
work_mem                               |        | dynamic | integer | 64-2147483647 | both | Kilobytes for each sort or hash of a query.
"""
