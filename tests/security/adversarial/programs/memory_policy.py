"""Moves memory between nodes and starts without address randomisation."""

from attempt import attempt_call, report

for name in ("mbind", "set_mempolicy", "migrate_pages", "move_pages"):
    attempt_call(name, 0, 0, 0, 0, 0, 0)
attempt_call("personality", 0x0040000, label="no randomisation")
attempt_call("personality", 0x0400000, label="read means execute")
attempt_call("prctl", 35, 8, 0, 0, 0, label="move its own memory map")
report()
