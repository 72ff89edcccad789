"""Prometheus metrics of the operator itself. Names follow the Prometheus conventions: base units, _total for counters."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

PASSES = Counter("penstock_passes_total", "Passes over an object, by how they ended.", ["kind", "outcome"])
PASS_SECONDS = Histogram(
    "penstock_pass_duration_seconds",
    "Time of one pass, waiting for AWS included.",
    ["kind"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120),
)
FAILOVERS = Counter("penstock_failovers_total", "Failovers of clusters that were seen to end, by cause.", ["cause"])
FAILOVER_SECONDS = Histogram(
    "penstock_failover_outage_seconds",
    "How long no write was taken, by failover.",
    ["measured_by"],
    buckets=(0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600),
)
PROBES = Gauge("penstock_probes", "Clusters by what becomes of their probe: probing, failing or off.", ["state"])
PROBE_ROUND_TRIPS = Counter("penstock_probe_round_trips_total", "Queries that the probe sent, by outcome.", ["outcome"])
PROBE_CONNECTS = Counter(
    "penstock_probe_connects_total", "Connections that the probe made or tried, by outcome.", ["outcome"]
)
QUEUE_DEPTH = Gauge("penstock_queue_depth", "Keys that are scheduled, due or not.")
QUEUE_OVERDUE = Gauge("penstock_queue_overdue", "Keys that are due and wait for a worker.")
QUEUE_OLDEST = Gauge("penstock_queue_oldest_wait_seconds", "How long the longest-waiting due key has been waiting.")
AWS_CALLS = Counter(
    "penstock_aws_calls_total",
    "AWS calls sent, by outcome (ok, or the meaning of the error).",
    ["service", "operation", "outcome"],
)
AWS_SECONDS = Histogram(
    "penstock_aws_call_duration_seconds",
    "Time of one AWS call.",
    ["service"],
    buckets=(0.005, 0.02, 0.05, 0.1, 0.5, 1, 5, 20),
)
AWS_PACED = Counter("penstock_aws_paced_seconds_total", "Time that calls waited for a token.", ["service"])
CLOUDWATCH_METRICS = Counter(
    "penstock_cloudwatch_metrics_requested_total",
    "Metrics asked of CloudWatch's GetMetricData, which AWS charges by the thousand.",
    ["region"],
)
INVENTORY_AGE = Gauge(
    "penstock_inventory_age_seconds",
    "Time since what is read for all objects of a region at once (clusters, instances, events, tables, tags) was last read.",
    ["region", "read"],
)
KUBE_REQUESTS = Counter(
    "penstock_kubernetes_requests_total", "Kubernetes requests sent by the operator.", ["verb", "resource", "code"]
)
STEPS = Counter("penstock_steps_total", "Steps of plans that ran, by outcome.", ["kind", "operation", "outcome"])
DRIFT = Counter(
    "penstock_drift_corrected_total", "Fields that somebody else changed and the operator set back.", ["kind"]
)
WATCHING = Gauge("penstock_watching_monthly_usd", "What reading the metrics of all objects costs a month.")
PRICES_AGE = Gauge("penstock_prices_age_seconds", "Time since AWS's price list of a region was last read.", ["region"])
COST_MONTHLY = Gauge(
    "penstock_cost_monthly_usd",
    "What objects cost a month, estimated, or as they are used when that is more.",
    ["kind", "namespace"],
)
BUDGET_LIMIT = Gauge("penstock_budget_limit_usd", "The monthly limit of a CostBudget.", ["namespace", "budget"])
BUDGET_ESTIMATE = Gauge(
    "penstock_budget_estimate_usd", "What a CostBudget covers costs a month.", ["namespace", "budget"]
)
BUDGET_SPENT = Gauge(
    "penstock_budget_month_to_date_usd", "What it has cost this month, as far as known.", ["namespace", "budget"]
)
BUDGET_HELD = Gauge("penstock_budget_held_objects", "Objects whose plan a CostBudget holds.", ["namespace", "budget"])
OBJECTS = Gauge("penstock_objects", "Objects by kind and readiness.", ["kind", "ready"])
ADVICE_SAVING = Gauge(
    "penstock_advice_saving_usd",
    "What the best advice for every object would save a month, together, in US dollars.",
    ["kind"],
)
TASK_RESTARTS = Counter(
    "penstock_task_restarts_total",
    "How often a task that the operator can do without (prices, spend, bills, inventories) crashed and was started again.",
    ["task"],
)
LEADER = Gauge("penstock_leader", "1 while this process holds the Lease.")
WATCH_AGE = Gauge("penstock_watch_event_age_seconds", "Time since the watch last told of any object.")
ECHO_AGE = Gauge(
    "penstock_watch_echo_overdue_seconds", "How long the oldest own write has not come back through the watch."
)
DRILLS = Counter("penstock_drills_total", "Runs of failover drills that ended, by verdict.", ["verdict"])
DRILL_OUTAGE = Histogram(
    "penstock_drill_outage_seconds",
    "The longest time that a writer of a drill's run waited for a commit.",
    buckets=(0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300),
)
DRILL_COMMITS_LOST = Counter("penstock_drill_commits_lost_total", "Acknowledged commits that runs of drills lost.")
