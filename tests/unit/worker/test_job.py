"""The job as the supervisor reads it."""

import json

from security_profiles import get_profile
from worker.sandbox.conversation import encode_job
from worker.sandbox.guest import protocol


def job(spec):
    _kind, length = protocol.HEADER.unpack_from(data := encode_job(spec))
    return json.loads(data[protocol.HEADER.size : protocol.HEADER.size + length])


def test_a_program_runs_as_it_is_named(make_spec):
    built = job(make_spec({"source": "x", "args": ["a"]}))
    assert built["argv"] == ["python3", "main.py", "a"]
    assert built["restricted_python"] is False


def test_under_the_policy_the_runner_gets_the_imports_and_then_the_program(make_spec):
    built = job(make_spec({"source": "x", "args": ["a"], "security_profile": "minimal"}))
    runner = built["argv"].index(protocol.POLICY_RUNNER)
    imports = get_profile("minimal").restricted_python_imports
    assert built["argv"][0] == "python3"
    assert built["argv"][runner + 1 :] == [",".join(imports), "main.py", "a"]
    assert "-I" in built["argv"][:runner]
    assert built["restricted_python"] is True
