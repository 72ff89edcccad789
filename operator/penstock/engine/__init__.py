"""What every kind shares: the queue, the loop, plans, conditions, error meanings, pacing, the lease and Kubernetes writes."""
