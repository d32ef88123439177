"""What the supervisor and a prepared interpreter say to each other, and where."""

# The interpreter's descriptors: what to do, what came of it, and a word that wakes the supervisor.
CONTROL, NOTES, DONE = 3, 4, 5

# A message on CONTROL is four bytes of length and that many. The first is a job's settings with
# zeros between: how to run, the limit of descriptors, the number of arguments, these, and then
# names and values of variables. With FORKING, each one after it is the standard input of a run.
LENGTH_BYTES = 4
ONCE, FORKING = "1", "*"  # run the program in this process, or in a fork for each input

# A note is a kind and a number: a run's process id, its exit code, or the number of an error.
BORN, EXITED, FAILED = b"P", b"E", b"F"
NUMBER_BYTES = 4
NOTE_BYTES = 1 + NUMBER_BYTES

# The words: a first message can come; runs can be forked; a run and all its processes are gone.
WAITING, READY, ENDED = b"w", b"r", b"d"


def note(kind: bytes, number: int) -> bytes:
    """Return a note."""
    return kind + number.to_bytes(NUMBER_BYTES, "big", signed=True)


def message(content: bytes | bytearray) -> bytes:
    """Return a message."""
    return len(content).to_bytes(LENGTH_BYTES, "big") + content
