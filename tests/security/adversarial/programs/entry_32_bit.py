"""Calls the kernel by the entries of other processor modes, whose numbers differ."""

import ctypes
import mmap
import platform

from attempt import LIBC, escaped, in_child, refused, report


def by_interrupt():
    """Machine code: mov eax, 20; int 0x80; ret."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()


def by_x32():
    LIBC.syscall(ctypes.c_long(0x40000000 | 39))


if platform.machine() == "x86_64":
    for function in (by_interrupt, by_x32):
        ended = in_child(function)
        if ended < 0:
            refused[function.__name__] = f"signal {-ended}"
        else:
            escaped.append(function.__name__)
else:
    refused["other entries"] = "not on this processor"
report()
