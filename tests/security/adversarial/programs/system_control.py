"""Sets the clock, the host's name and accounting, reboots, swaps, loads modules and kernels."""

import struct

from attempt import BAD_POINTER, attempt_call, report

now = struct.pack("qq", 0, 0)
attempt_call("clock_settime", 0, now)
attempt_call("clock_settime", 99, BAD_POINTER, label="clock_settime nothing")
attempt_call("settimeofday", now, 0)
attempt_call("adjtimex", BAD_POINTER)
attempt_call("clock_adjtime", 99, BAD_POINTER)
attempt_call("sethostname", b"owned", 5)
attempt_call("setdomainname", b"owned", 5)
attempt_call("acct", BAD_POINTER)
attempt_call("reboot", 0, 0, 0, 0)
attempt_call("swapon", BAD_POINTER, 0)
attempt_call("swapoff", BAD_POINTER)
attempt_call("init_module", 0, 0, BAD_POINTER)
attempt_call("finit_module", -1, BAD_POINTER, 0)
attempt_call("delete_module", BAD_POINTER, 0)
attempt_call("kexec_load", 0, 0, 0, 0)
attempt_call("kexec_file_load", -1, -1, 0, 0, 0)
report()
