"""Penstock: a Kubernetes operator that manages AWS databases and answers for their outcomes."""

__version__ = "0.1.0"
