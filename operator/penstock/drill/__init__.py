"""FailoverDrill: a real failover of an AuroraCluster under a real load, once or by the clock. Read plan.py first."""
