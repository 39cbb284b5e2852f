"""Placeholder until the parts are in place."""

__version__ = "0.1.0"
