"""Queues in Redis or Valkey: what `RedisStore` is made of."""
