"""Leaves files whose names lead elsewhere, break lines, drive terminals or pose as options."""

import os
from pathlib import Path

names = [
    b"..\\..\\windows", b"%2e%2e%2fetc", b"..;", b"...", b"-rf", b"~", b"$(id)", b"`id`",
    b"a\nb", b"a\rb", b"\x1b[31mred", b"\x1b]0;t\x07", b"\xff\xfe", b"\xe2\x80\xaetxt.exe", b"a\tb",
    b"C:evil", b"NUL", b"x" * 250, b" ", b".hidden", b"<script>", b"a:b", b"a|b",
]  # fmt: skip
for name in names:
    with open(b"output/" + name, "wb") as file:
        file.write(b"x")
Path("output/../escape").write_text("x")
try:
    os.rename("escape", "output/../../escape")
except OSError:
    pass
Path("output/good.txt").write_text("good")
