"""Watches the processor's counters."""

from attempt import BAD_POINTER, attempt_call, report

attempt_call("perf_event_open", BAD_POINTER, 0, -1, -1, 0)
attempt_call("perf_event_open", b"\0" * 128, -1, 0, -1, 0, label="all processes")
report()
