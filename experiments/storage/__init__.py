"""A comparison on disk, safe from kills, and shared by several processes."""

from experiments.storage.store import FILE, Store, StoreError

__all__ = ["FILE", "Store", "StoreError"]
