"""What was promised, beside what the run measured. For reading: nothing is asserted by time."""

from collections.abc import Sequence

from tests.benchmarks.batch import INPUTS, SHARES, batch_of
from tests.benchmarks.latency import PLATFORM_WARM
from tests.benchmarks.load import at
from tests.benchmarks.rows import Row
from tests.benchmarks.subjects import ALONE_WARM, PEERS, SDK, WARM

WARM_MS = 20.0  # over REST, until the outcome is recorded and here
SANDBOX_MS = 8.0  # of these, the sandbox's own share
PLATFORM_MS = 10.0  # what everything around the sandbox may add
TIMES_FASTER = 8.0  # than the best one-shot peer
PROGRAMS = 300.0  # a second, in a batch
SUSTAINED_AT = 8  # clients in a closed loop

Judged = tuple[str, str, str, bool] | None


def judged(rows: Sequence[Row]) -> list[tuple[str, str, str, bool]]:
    """Return what was promised, the promise, the figure, and whether it was kept."""
    medians = {(row.name, row.unit): row.median for row in rows if row.median is not None}
    warm = medians.get((WARM, "ms"))
    peers = [medians[peer, "ms"] for peer in PEERS if (peer, "ms") in medians]
    sustained, plain = (medians.get((at(SUSTAINED_AT, name), "1/s")) for name in (WARM, SDK))
    found = [
        _most("warm, over REST, all recorded", warm, WARM_MS),
        _most("of these, the sandbox's own", medians.get((ALONE_WARM, "ms")), SANDBOX_MS),
        _most("what the platform adds", medians.get((PLATFORM_WARM, "ms")), PLATFORM_MS),
    ]
    if warm and peers:
        times = min(peers) / warm
        found.append(_least("faster than the best one-shot peer", times, TIMES_FASTER, "times"))
    if sustained and plain:
        what = f"sustained with {SUSTAINED_AT} in flight, over the plain SDK's"
        found.append(_least(what, sustained / plain, 1, "times"))
    for share in SHARES:
        rate = medians.get((batch_of(INPUTS, share), "programs/s"))
        found.append(_least(f"a batch with {share}", rate, PROGRAMS, "programs/s"))
    return [line for line in found if line is not None]


def _most(what: str, figure: float | None, limit: float) -> Judged:
    if figure is None:
        return None
    return what, f"at most {limit:g} ms", f"{figure:.1f} ms", figure <= limit


def _least(what: str, figure: float | None, limit: float, unit: str) -> Judged:
    if figure is None:
        return None
    return what, f"at least {limit:g} {unit}", f"{figure:.2f} {unit}", figure >= limit
