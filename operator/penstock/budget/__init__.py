"""CostBudget: what the tables and clusters of a namespace may cost, and what happens to a plan that would break it."""
