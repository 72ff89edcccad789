"""Inside the database, over connections of psycopg."""
