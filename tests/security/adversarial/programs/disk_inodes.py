"""Makes empty files without end in every folder that takes one."""

import os
from pathlib import Path

from attempt import escaped, refused, report

LIMIT = 20_000  # more than the quota's 64 for each MiB; /dev/shm has no other bound than memory
made = {}
for top, folders, _ in os.walk("/"):
    if top in ("/proc", "/sys"):
        folders.clear()
        continue
    made[top] = 0
    try:
        while made[top] < LIMIT:
            os.close(os.open(f"{top}/{made[top]}", os.O_CREAT | os.O_WRONLY))
            made[top] += 1
    except OSError as error:
        refused[f"{top}: {error.strerror}"] = made[top]
    for number in range(made[top]):
        Path(top, str(number)).unlink()
escaped += [top for top, count in made.items() if count == LIMIT]
print({top: count for top, count in made.items() if count})
report()
