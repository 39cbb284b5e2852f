"""Stores: where jobs and learned state live. Those with a driver are modules of their own: `pacer.stores.sqlite`."""

from pacer.stores._memory import MemoryStore as MemoryStore

__all__ = ["MemoryStore"]
