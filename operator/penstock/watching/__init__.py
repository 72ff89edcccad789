"""What people watch: clusters live in a terminal, and a drill as a page. Reads objects through the Kubernetes API, and nothing else."""
