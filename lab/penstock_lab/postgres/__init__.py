"""Real PostgreSQL behind the lab's Aurora: nodes, endpoints, failover, backups.

`binaries` finds PostgreSQL, `node` runs one server, `proxy` is an endpoint, `cluster` a writer with its readers, `archive` its
WAL and backups, and `plane` what the control plane talks to.
"""
