"""epicbox, as its documentation runs a program: a file is copied in, a shell starts it.

Runs in an environment of its own; the image is the first argument. Its log is silenced: it writes
seven lines for each run.
"""

import logging
import sys

import epicbox
import structlog

from tests.benchmarks.drivers.loop import SOURCE, serve

LIMITS = {"cputime": 5, "memory": 256, "processes": 10}


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    profile = epicbox.Profile("python", sys.argv[1], user="1000:1000", network_disabled=True)
    epicbox.configure(profiles=[profile])
    files = [{"name": "main.py", "content": SOURCE.encode()}]

    def run() -> str:
        result = epicbox.run("python", "python3 main.py", files=files, limits=dict(LIMITS))
        if result["exit_code"] != 0:
            raise RuntimeError(str(result)[:300])
        return bytes(result["stdout"]).decode()

    run()
    serve(run)


if __name__ == "__main__":
    main()
