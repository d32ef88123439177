"""Makes maps and loads programs for the kernel's own machine."""

import struct

from attempt import BAD_POINTER, attempt_call, report

attempt_call("bpf", 0, struct.pack("5I", 2, 4, 4, 1, 0), 20, label="map")
attempt_call("bpf", 5, BAD_POINTER, 48, label="program")
attempt_call("bpf", 99, BAD_POINTER, 8, label="nothing")
report()
