"""An agent that never reaches a conclusion; only its time limit ends it."""

import itertools

for thought in itertools.count(1):
    if thought % 2_000_000 == 0:
        print(f"thought {thought:,}: not convinced yet")
