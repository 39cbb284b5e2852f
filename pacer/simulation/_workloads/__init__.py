"""Recipes for arrivals, one a file."""
