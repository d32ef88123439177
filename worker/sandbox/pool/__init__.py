"""Sandboxes that are started ahead of their jobs; each is used once."""

from worker.sandbox.pool.pool import Pool
from worker.sandbox.pool.shape import Shape
from worker.sandbox.pool.stock import Bounds

__all__ = ["Bounds", "Pool", "Shape"]
