"""A fuzzer over the API's own description: no 500, no answer that the description denies."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.harness import ROOT, Stack

EXAMPLES_PER_OPERATION = 25


@pytest.mark.timeout(300)
def test_fuzzing_the_description_finds_no_server_error(stack: Stack, tmp_path: Path) -> None:
    stack.wait_ready()
    key = stack.new_key("fuzz")
    config = tmp_path / "schemathesis.toml"
    config.write_text(f'[headers]\nAuthorization = "Bearer {key}"\n', encoding="utf-8")
    program = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [
            program, "--config-file", config, "run", f"{stack.url}/openapi.json",
            f"--max-examples={EXAMPLES_PER_OPERATION}", "--seed=1", "--no-color",
            "--checks=not_a_server_error,status_code_conformance,content_type_conformance,"
            "response_schema_conformance,response_headers_conformance",
            # A long-poll would hold the fuzzer up; waiting has its own tests.
            "--exclude-path-regex=metrics", "--request-timeout=70",
        ],
        cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_the_description_has_examples_and_problem_answers(stack: Stack) -> None:
    description = httpx.get(f"{stack.url}/openapi.json").json()
    submit = description["paths"]["/v1/executions"]["post"]
    assert set(submit["requestBody"]["content"]["application/json"]["examples"]) == {
        "source",
        "command",
    }
    assert "application/problem+json" in submit["responses"]["422"]["content"]
