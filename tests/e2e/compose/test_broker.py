"""The broker when it is full: it refuses what is new, and keeps what it has."""

import json

from tests.e2e.compose.deployment import Deployment
from tests.harness import Api

# Reads what is in force, fills the broker up to its limit, and empties it again.
FILL = """
import json, redis
client = redis.Redis.from_url(open("/run/secrets/broker_url").read().strip())
names = ("maxmemory", "maxmemory-policy", "appendonly", "save")
told = {name: client.config_get(name)[name] for name in names}
client.set("filler:kept", "kept")
written, told["refusal"] = 0, None
try:
    while written < 1024:  # MiB, far beyond its limit
        client.set(f"filler:{written}", b"x" * (1 << 20))
        written += 1
except redis.exceptions.OutOfMemoryError as error:
    told["refusal"] = str(error)
told["kept"] = client.get("filler:kept").decode()
told["evicted"] = client.info("stats")["evicted_keys"]
client.delete("filler:kept", *(f"filler:{number}" for number in range(written + 1)))
told["written"] = written
print(json.dumps(told))
"""


def test_the_broker_refuses_what_it_has_no_room_for_and_drops_nothing(
    deployment: Deployment, published: Api
) -> None:
    started = deployment.container("redis").attrs["State"]["StartedAt"]
    told = json.loads(deployment.compose("exec", "-T", "control", "python", "-c", FILL))
    limit = deployment.container("redis").attrs["HostConfig"]["Memory"]
    assert 0 < int(told["maxmemory"]) <= limit / 2
    assert (told["maxmemory-policy"], told["appendonly"], told["save"]) == ("noeviction", "yes", "")
    assert told["written"] < int(told["maxmemory"]) >> 20
    assert "maxmemory" in told["refusal"]
    assert (told["kept"], told["evicted"]) == ("kept", 0)
    state = deployment.container("redis").attrs["State"]
    assert (state["StartedAt"], state["OOMKilled"]) == (started, False)
    assert published.run("print('again')")["status"] == "succeeded"
