"""Unit tests touch no service: the settings that modules read at import lead nowhere."""

import os

from hypothesis import settings

os.environ.setdefault("AGENTCORE_DATABASE_URL", "postgresql://nobody@/nothing?host=/nonexistent")
os.environ.setdefault("AGENTCORE_BROKER_URL", "redis://127.0.0.1:1/0")

# A shared machine is slow at times; that is no failure of the code.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
