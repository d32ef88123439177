"""Sets bits that the kernel throws away, to slip past comparisons of whole numbers."""

from attempt import attempt_call, report

HIGH = 1 << 32
attempt_call("socket", HIGH | 16, 3, 0, label="netlink")
attempt_call("socket", HIGH | 38, 5, 0, label="alg")
attempt_call("ioctl", 0, HIGH | 0x5412, 8, label="TIOCSTI")
attempt_call("personality", HIGH | 0x0040000)
attempt_call("prlimit64", HIGH | 1, 7, 0, 8)
attempt_call("mknodat", -100, b"device", HIGH | 0o020666, 0x103)
attempt_call("prctl", HIGH | 35, 8, 0, 0, 0)
report()
