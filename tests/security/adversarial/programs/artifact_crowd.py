"""Leaves thousands of files with long names."""

made = 0
try:
    while made < 20_000:
        open(f"output/{made:06}" + "n" * 240, "wb").close()
        made += 1
except OSError:
    pass
