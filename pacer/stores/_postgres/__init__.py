"""PostgreSQL as the server of a queue."""
