"""DynamoDB: tables, items, expressions and PartiQL of our own; moto's streams, exports and imports."""
