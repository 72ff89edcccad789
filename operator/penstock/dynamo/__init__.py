"""DynamoTable: one DynamoDB table. Read plan.py first: every decision is there; the other modules read, write and tell."""
