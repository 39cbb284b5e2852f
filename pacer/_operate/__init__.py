"""The commands that look at a running queue and steer it."""
