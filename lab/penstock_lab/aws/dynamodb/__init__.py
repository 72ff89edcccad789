"""DynamoDB: a control plane of our own around moto's tables, items and expressions."""
