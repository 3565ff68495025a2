"""PostgreSQL and the broker: found, started, stopped."""
