"""Submits by the API beside a bare FastAPI route that inserts one row, on the same database server.

Nothing takes the executions: there is an API and no worker. Both sides get the same body on
connections that are kept, and answer when their transaction is committed.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit

from tests.benchmarks.deployment import Deployment
from tests.benchmarks.drivers.rest import encoded
from tests.benchmarks.rows import Row, in_turn, measured
from tests.benchmarks.scene import Scene
from tests.benchmarks.subjects import Subjects
from tests.harness import free_port, wait_until

OURS = "POST /v1/executions: authorized, checked, with its audit event"
BARE = "bare FastAPI route: one row inserted"
LEVELS = (1, 8, 32)  # clients in a closed loop
CHUNKS, QUICK_CHUNKS = 4, 2
EACH, QUICK_EACH = 200, 40  # submits of one chunk


def rows(scene: Scene, _subjects: Subjects) -> list[Row]:
    """Measure both at each level, in some seconds."""
    deployment = scene.new_deployment("submits", tenant_max_queued="1000000")
    try:
        deployment.up("api")
        return _compared(scene, deployment, _bare(scene, deployment))
    finally:
        deployment.down()


def _compared(scene: Scene, deployment: Deployment, bare: str) -> list[Row]:
    found = []
    for level in LEVELS:
        rates: dict[str, list[float]] = {OURS: [], BARE: []}
        each: dict[str, list[float]] = {OURS: [], BARE: []}
        posters = {
            OURS: _Poster(f"{deployment.url}/v1/executions", deployment.key),
            BARE: _Poster(f"{bare}/rows", deployment.key),
        }
        for number in range(scene.choose(CHUNKS, QUICK_CHUNKS)):
            for name in in_turn(list(posters), number):
                took, seconds = posters[name].post(scene.choose(EACH, QUICK_EACH), level)
                rates[name].append(len(took) / seconds)
                each[name] += took
            scene.tell(f"{level} in flight, chunk {number + 1}")
        for unit, samples in (("1/s", rates), ("ms", each)):
            named = {f"{level} in flight: {name}": values for name, values in samples.items()}
            found += measured(unit, named, f"{level} in flight: {BARE}")
    return found


def _bare(scene: Scene, deployment: Deployment) -> str:
    """Start the bare route and return its URL."""
    with deployment.database() as database:
        database.execute(
            "CREATE TABLE bare (id uuid PRIMARY KEY, body jsonb NOT NULL,"
            " created_at timestamptz NOT NULL DEFAULT now())"
        )
    port = free_port()
    places = {"BENCH_DATABASE": deployment.owner_url, "BENCH_PORT": str(port)}
    scene.background("bare_api", "serve", environment=places)

    def answers() -> bool:
        connection = HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/docs")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    wait_until(answers, what="the bare route")
    return f"http://127.0.0.1:{port}"


class _Poster:
    """Posts the usual program, again and again."""

    def __init__(self, url: str, key: str) -> None:
        self._url = urlsplit(url)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def post(self, count: int, in_flight: int) -> tuple[list[float], float]:
        """Return what each took in milliseconds, and all together in seconds."""
        connections = [HTTPConnection(self._url.netloc, timeout=60) for _ in range(in_flight)]
        for connection in connections:
            connection.connect()
        with ThreadPoolExecutor(in_flight) as threads:
            begun = time.perf_counter()
            took = list(threads.map(self._times(count // in_flight), connections))
            seconds = time.perf_counter() - begun
        return [one for some in took for one in some], seconds

    def _times(self, count: int) -> Callable[[HTTPConnection], list[float]]:
        def post(connection: HTTPConnection) -> list[float]:
            took = []
            for _ in range(count):
                begun = time.perf_counter()
                connection.request("POST", self._url.path, encoded(), self._headers)
                answer = connection.getresponse()
                answer.read()
                took.append((time.perf_counter() - begun) * 1000)
                assert answer.status < 300, answer.status
            connection.close()
            return took

        return post
