"""AuroraCluster: one Aurora DB cluster with its instances. Read plan.py first: every decision is there; the other modules read, write and tell."""
