"""Queues in a database server: what PostgreSQL and Redis have in common."""
