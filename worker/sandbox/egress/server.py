"""All gates of one proxy process."""

import asyncio
from pathlib import Path
from typing import Any

from worker.sandbox.egress import places
from worker.sandbox.egress.decisions import Report
from worker.sandbox.egress.gate import ServedGate
from worker.sandbox.egress.hangup import HangupWatch
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.policy import Policy
from worker.sandbox.egress.resolver import Lookup, Resolver, system_lookup


class ProxyServer:
    """Opens and closes gates, each in a directory of its own. Needs a running event loop."""

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self.resolver, self.hangups = Resolver(lookup), HangupWatch()
        self._gates: dict[Path, ServedGate] = {}

    def open(
        self, directory: Path, policy: Policy, limits: Limits, earlier: Report | None = None
    ) -> None:
        """Serve a gate; nothing is done if it is open. Raises OSError or SocketPathError.

        `earlier` is what was used of the limits before a proxy that died took this one's place.
        """
        if directory not in self._gates:
            self._gates[directory] = ServedGate(
                places.listen(directory),
                policy,
                limits,
                resolver=self.resolver,
                hangups=self.hangups,
                earlier=earlier,
            )

    def totals(self) -> dict[str, dict[str, Any]]:
        """Return what each gate has used."""
        return {str(directory): gate.totals() for directory, gate in self._gates.items()}

    async def close(self, directory: Path) -> Report:
        """End a gate with all its connections, and remove its directory. Raises KeyError."""
        report = await self._gates.pop(directory).close()
        places.remove(directory)
        return report

    async def close_all(self) -> None:
        """End everything."""
        await asyncio.gather(*(self.close(directory) for directory in list(self._gates)))
        self.hangups.close()
