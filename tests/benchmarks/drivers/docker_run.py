"""`docker run --rm` as a subprocess, as a script would do it, with the engine's own defaults."""

import subprocess
import sys

from tests.benchmarks.drivers.loop import SOURCE, serve


def main() -> None:
    image = sys.argv[1]
    command = ["docker", "run", "--rm", "--entrypoint", "python3", image, "-c", SOURCE]

    def run() -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip()[-300:])
        return done.stdout

    run()
    serve(run)


if __name__ == "__main__":
    main()
