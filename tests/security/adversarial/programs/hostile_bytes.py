"""Writes NUL, invalid UTF-8, surrogates and what drives a terminal: title, clipboard, colours,
answers to be typed, erasing, other sets of characters, hiding and turning text around."""

import sys

sys.stdout.buffer.write(
    b"before\x00\xff\xfe\xc3\x28\xed\xa0\x80\xf8\x88\x80\x80\x80"
    b"\x1b]0;stolen title\x07\x1b]52;c;cm0gLXJmIH4=\x07\x1b[31;5mred\x1b[2J\x1b[H\x1b[6n\x1b[c"
    b'\x1bP$q"p\x1b\\\x9b31m\x1b(0\x0e\x1b]8;;file:///etc/shadow\x1b\\link\x1b]8;;\x1b\\'
    b"\x1b[?1049h\x1b[>4;1m\x05\x08\x7f\rover\x1bc"
    b"\xc2\x9b31m\xe2\x80\xaeesrever\xe2\x80\xac\xe2\x81\xa6\xef\xbb\xbfafter\n"
)
sys.stderr.buffer.write(b"\x1b]0;again\x07\xff\x1b[8mhidden\n")
