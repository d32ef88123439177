"""llm-sandbox: one session for each program, in the quickest way that its options allow.

Runs in an environment of its own; the image is the first argument. Its own defaults would make a
virtual environment in every session and wait ten seconds for a container that ignores SIGTERM.
"""

import sys

from llm_sandbox import SandboxSession

from tests.benchmarks.drivers.loop import SOURCE, serve

CONTAINER = {"stop_signal": "SIGKILL", "network_mode": "none", "mem_limit": "256m"}


def main() -> None:
    def run() -> str:
        with SandboxSession(
            lang="python",
            image=sys.argv[1],
            keep_template=True,
            skip_environment_setup=True,
            runtime_configs=dict(CONTAINER),
        ) as session:
            result = session.run(SOURCE)
        if result.exit_code != 0:
            raise RuntimeError(str(result)[:300])
        return str(result.stdout)

    run()
    serve(run)


if __name__ == "__main__":
    main()
