"""Keeps sandboxes ready: a thread starts them in the background and throws old ones away."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

import structlog

from models.sandbox import SandboxConfig
from worker.sandbox.errors import SandboxError
from worker.sandbox.launched import Launched
from worker.sandbox.pool.shape import Shape, without_job
from worker.sandbox.pool.stock import Bounds, Stock

log = structlog.get_logger()

TICK = 1.0  # seconds between two looks for what is broken, too old or not needed
# Seconds after a hit in which nothing is started while half of the stock is there: what was just
# taken answers within that time, and needs the processors that a start would use.
COURTESY = 0.05
STARTERS = max(1, (os.cpu_count() or 1) // 2)  # starts at once: each keeps a processor busy


class Pool:
    """The waiting sandboxes of one worker; safe to use from any thread.

    `launch` starts one, `end` ends one, and `image_id` tells what a reference stands for, as those
    of a Launcher do.
    """

    def __init__(
        self,
        bounds: Bounds,
        launch: Callable[[SandboxConfig], Launched],
        end: Callable[[Launched], None],
        image_id: Callable[[str], str | None],
    ) -> None:
        self._launch, self._end, self._image_id = launch, end, image_id
        self._stock = Stock(bounds)
        self._changed = threading.Condition()
        self._taken_at = 0.0
        self._closed = bounds.most == 0
        self._threads: list[threading.Thread] = []

    @property
    def waiting(self) -> int:
        """How many sandboxes wait for a job."""
        with self._changed:
            return self._stock.waiting

    @property
    def target(self) -> int:
        """How many should wait, by what was asked for."""
        with self._changed:
            return self._stock.target

    def start(self, specs: Sequence[SandboxConfig], floor: int) -> None:
        """Keep `floor` sandboxes like each of `specs` ready, and whatever else is asked for."""
        if self._closed:
            return
        with self._changed:
            for spec in specs:
                self._stock.keep(without_job(spec), floor)
        names = [("pool-tend", self._tend)] + [("pool-start", self._fill)] * STARTERS
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True) for name, work in names
        ]
        for thread in self._threads:
            thread.start()

    def take(self, spec: SandboxConfig) -> Launched | None:
        """Return a waiting sandbox that can be made to serve `spec`, or None; at once."""
        if not self._threads:
            return None
        with self._changed:
            found = self._stock.take(without_job(spec))
            if found is not None:
                self._taken_at = time.monotonic()
            self._changed.notify_all()
        return found

    def missed(self, spec: SandboxConfig) -> None:
        """Note that a sandbox had to be started while its job waited."""
        if self._threads:
            with self._changed:
                self._stock.missed(without_job(spec))
                self._changed.notify_all()

    def close(self) -> None:
        """End all that wait, and start no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        with self._changed:
            left = list(self._stock.all())
        self._end_all(left)

    def _fill(self) -> None:
        while (wanted := self._await_lack()) is not None:
            shape, spec = wanted
            try:
                sandbox = self._launch(spec)
            except Exception as error:
                # Whatever it is: without this thread no sandbox would ever be ready again.
                ours = None if isinstance(error, SandboxError) else error
                log.warning("warm_start_failed", shape=str(shape), error=str(error), exc_info=ours)
                with self._changed:
                    self._stock.not_started(shape)
                continue
            with self._changed:
                self._stock.started(shape, sandbox)

    def _await_lack(self) -> tuple[Shape, SandboxConfig] | None:
        """Return what is to be started next; None at the end."""
        with self._changed:
            while not self._closed:
                left = self._courtesy()
                wanted = self._stock.next_start() if left <= 0 else None
                if wanted is not None:
                    return wanted
                self._changed.wait(left if left > 0 else TICK)
            return None

    def _courtesy(self) -> float:
        """Return for how many seconds nothing is to be started."""
        if self._stock.waiting * 2 < self._stock.target:
            return 0
        return self._taken_at + COURTESY - time.monotonic()

    def _tend(self) -> None:
        while not self._is_over_after(TICK):
            try:
                self._throw_away()
            except Exception:
                # Whatever it is: without this thread nothing broken would ever be thrown away.
                log.exception("pool_not_tended")

    def _is_over_after(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, seconds)

    def _throw_away(self) -> None:
        with self._changed:
            references = self._stock.references
        found = {reference: self._image_id(reference) for reference in references}
        images = {reference: image for reference, image in found.items() if image is not None}
        with self._changed:
            unneeded = list(self._stock.unneeded(images))
        self._end_all(unneeded)

    def _end_all(self, sandboxes: Iterable[Launched]) -> None:
        with ExitStack() as ends:  # every one, whatever becomes of another
            for sandbox in sandboxes:
                ends.callback(self._end, sandbox)
