"""The lab: a real Kubernetes API server and an AWS endpoint on loopback, for demos, tests and benches."""
