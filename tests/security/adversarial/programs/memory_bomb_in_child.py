"""Lets a child take memory without end, and tells how the child ended."""

from attempt import in_child


def take():
    kept = []
    while True:
        kept.append(bytearray(2**22))


print(in_child(take))
