"""Recipes for the other side: limits, latencies and troubles, one a file."""
