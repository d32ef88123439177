"""Unit tests touch no service."""

from hypothesis import settings

# A shared machine is slow at times; that is no failure of the code.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
