"""How many sandboxes of which shape wait: from what was asked for, within bounds. No engine here.

Each miss makes a shape's target one larger. What a whole period did not need goes again.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from models.sandbox import SandboxConfig
from worker.sandbox.launched import Launched
from worker.sandbox.pool.shape import Shape, changeable

MAX_SHAPES = 64  # remembered; a stranger may ask for another one with every request
PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds after a start that failed, doubled while it goes on


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Limits of the stock; seconds are on the monotonic clock."""

    most: int  # sandboxes of all shapes together
    idle_seconds: float  # a period, after which what it did not need is let go
    max_age_seconds: float  # a waiting sandbox is thrown away then


@dataclass
class Shelf:
    """The waiting sandboxes of one shape."""

    spec: SandboxConfig  # as asked for last: the next one is started like it
    floor: int  # the target never falls below
    target: int
    asked_at: float
    starting: int = 0
    lowest: int = 0  # fewest that waited in this period
    pause: float = 0  # seconds after the last failed start
    retry_at: float = 0  # when that is over
    waiting: deque[Launched] = field(default_factory=deque)

    @property
    def lacking(self) -> int:
        """How many more are to be started; below zero when there are too many."""
        return self.target - len(self.waiting) - self.starting

    @property
    def is_below_floor(self) -> bool:
        """Whether fewer are there, or on their way, than always are to be."""
        return len(self.waiting) + self.starting < self.floor


class Stock:
    """The shelves; not safe for several threads by itself."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds, self._clock = bounds, clock
        self._shelves: dict[Shape, Shelf] = {}
        self._period_ends = clock() + bounds.idle_seconds

    @property
    def waiting(self) -> int:
        """How many sandboxes wait."""
        return sum(len(shelf.waiting) for shelf in self._shelves.values())

    @property
    def target(self) -> int:
        """How many should wait."""
        wanted = sum(max(0, shelf.target) for shelf in self._shelves.values())
        return min(self._bounds.most, wanted)

    def keep(self, spec: SandboxConfig, floor: int) -> None:
        """Keep `floor` sandboxes like this one ready at all times."""
        floor = min(floor, self._bounds.most)
        shelf = Shelf(spec=spec, floor=floor, target=floor, asked_at=self._clock())
        self._shelves[Shape.of(spec)] = shelf

    def take(self, spec: SandboxConfig) -> Launched | None:
        """Return a waiting sandbox, best one whose limits need no change; None on a miss."""
        shelf = self._asked(spec)
        usable = [item for item in shelf.waiting if not self._is_spent(item)]
        if not usable:
            return None
        wanted = changeable(spec)
        fits = (item for item in usable if changeable(item.spec) == wanted)
        found = next(fits, usable[0])
        shelf.waiting.remove(found)
        shelf.lowest = min(shelf.lowest, len(shelf.waiting))
        return found

    def missed(self, spec: SandboxConfig) -> None:
        """Want one more: a request for this had to be started cold."""
        shelf = self._asked(spec)
        shelf.lowest = 0
        shelf.target = min(shelf.target + 1, self._bounds.most)

    def next_start(self) -> tuple[Shape, SandboxConfig] | None:
        """Return what to start next, and count it as starting; None when nothing is lacking.

        What is always to be there comes first, and then what was asked for last.
        """
        lacking = self._lacking()
        if not lacking or self._is_full():
            return None
        shape, shelf = max(lacking, key=lambda pair: (pair[1].is_below_floor, pair[1].asked_at))
        shelf.starting += 1
        return shape, shelf.spec

    def started(self, shape: Shape, sandbox: Launched) -> None:
        """Put a sandbox on its shelf, whose start was counted."""
        shelf = self._shelves[shape]
        shelf.starting -= 1
        shelf.pause = 0
        shelf.waiting.append(sandbox)

    def not_started(self, shape: Shape) -> None:
        """Note a start that failed; the next one of this shape comes after a pause."""
        shelf = self._shelves[shape]
        shelf.starting -= 1
        shelf.pause = min(LONGEST_PAUSE, max(PAUSE, shelf.pause * 2))
        shelf.retry_at = self._clock() + shelf.pause

    @property
    def references(self) -> set[str]:
        """The image references of what waits."""
        return {shelf.spec.image_reference for shelf in self._shelves.values() if shelf.waiting}

    def unneeded(self, images: Mapping[str, str]) -> Iterator[Launched]:
        """Take out and yield what is broken, too old, or was not needed for a period.

        `images` are the ids that the references stand for now; an unknown one changes nothing.
        """
        now = self._clock()
        if now >= self._period_ends:
            self._period_ends = now + self._bounds.idle_seconds
            self._shrink()
        if (crowded := self._crowded()) is not None:
            yield crowded.waiting.popleft()
        for shelf in self._shelves.values():
            for item in list(shelf.waiting):
                changed = images.get(item.spec.image_reference, item.image_id) != item.image_id
                spare = len(shelf.waiting) > shelf.target
                if changed or spare or self._is_spent(item):
                    shelf.waiting.remove(item)
                    yield item

    def all(self) -> Iterator[Launched]:
        """Take out and yield everything."""
        for shelf in self._shelves.values():
            while shelf.waiting:
                yield shelf.waiting.popleft()

    def _asked(self, spec: SandboxConfig) -> Shelf:
        shape, now = Shape.of(spec), self._clock()
        shelf = self._shelves.get(shape)
        if shelf is None:
            self._make_place()
            # Wanted from the second time on: what was asked for once may never be again.
            shelf = self._shelves[shape] = Shelf(spec=spec, floor=0, target=-1, asked_at=now)
        shelf.asked_at = now
        if not shelf.floor:  # what is kept for all is as the settings say
            shelf.spec = spec
        return shelf

    def _make_place(self) -> None:
        empty = [
            (shelf.asked_at, shape)
            for shape, shelf in self._shelves.items()
            if not shelf.floor and not shelf.waiting and not shelf.starting
        ]
        if len(self._shelves) >= MAX_SHAPES and empty:
            del self._shelves[min(empty, key=lambda pair: pair[0])[1]]

    def _is_spent(self, item: Launched) -> bool:
        """Whether a waiting sandbox is too old, or has ended."""
        aged = self._clock() - item.started_at > self._bounds.max_age_seconds
        return aged or item.connection.has_news()

    def _lacking(self) -> list[tuple[Shape, Shelf]]:
        """Return what lacks sandboxes and may be started now."""
        now = self._clock()
        shelves = self._shelves.items()
        return [(of, shelf) for of, shelf in shelves if shelf.lacking > 0 and shelf.retry_at <= now]

    def _is_full(self) -> bool:
        starting = sum(shelf.starting for shelf in self._shelves.values())
        return self.waiting + starting >= self._bounds.most

    def _crowded(self) -> Shelf | None:
        """Return a shelf to take one from, so that what was asked for later gets room."""
        lacking = self._lacking()
        if not lacking or not self._is_full():
            return None
        latest = max(shelf.asked_at for _, shelf in lacking)
        spare = [
            shelf
            for shelf in self._shelves.values()
            if shelf.asked_at < latest and len(shelf.waiting) > shelf.floor
        ]
        found = min(spare, key=lambda shelf: shelf.asked_at, default=None)
        if found is not None:
            found.target = len(found.waiting) - 1  # or it would want it back at once
        return found

    def _shrink(self) -> None:
        for shelf in self._shelves.values():
            shelf.target = max(shelf.floor, shelf.target - shelf.lowest)
            shelf.lowest = len(shelf.waiting)
