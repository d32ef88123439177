"""Takes memory without end."""

kept = []
while True:
    kept.append(bytearray(2**22))
