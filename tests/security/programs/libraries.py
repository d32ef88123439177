"""Programs that need what the sandbox image lacks; `libraries.py CASE` runs one.

That is numpy, pandas, requests, and a shell with its tools: other images have them.
"""

import http.server
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

CASES = {}
STANDARD_CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def standard_case(function):
    STANDARD_CASES[function.__name__] = function
    return function


SCRIPT = """
set -e
mkdir -p one/two && echo hello > one/two/file && cat one/two/file | tr a-z A-Z | sort | uniq -c
cp -r one copy && mv copy/two/file copy/moved && ln -s moved copy/link && ls -R . && stat one
find . -name file && grep -rl hello . && sed s/hello/bye/ one/two/file && wc -c one/two/file
tar cf all.tar one && tar xf all.tar && gzip all.tar && head -c 8 /dev/urandom | od > random
touch -d 2020-01-01 one/two/file && chmod -R go-w one && test -w one && id -u && uname -r
(trap 'exit 3' TERM; sleep 30 & wait) & kill -0 $!
kill $! ; wait $! || test $? -ne 0
pwd && df . && du -s . && date && env > environment && rm -rf one copy
"""


# These read and set extended attributes, which minimal refuses: some warn, some fail.
SCRIPT_WITH_ATTRIBUTES = """
set -e
echo hello > file && ls -l && sed -i s/hello/bye/ file && cp -p file copy && install file other
"""


def run_script(script):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["sh", "-c", script], cwd=folder, check=True, stdout=subprocess.DEVNULL)


@case
def shell_and_its_tools():
    run_script(SCRIPT)


@standard_case
def shell_tools_that_copy_attributes():
    run_script(SCRIPT_WITH_ATTRIBUTES)


@case
def numpy_arrays():
    import numpy

    left = numpy.random.default_rng(1).random((600, 600))
    assert numpy.allclose(left @ numpy.linalg.inv(left), numpy.eye(600), atol=1e-6)
    assert abs(numpy.fft.ifft(numpy.fft.fft(left[0])).real - left[0]).max() < 1e-9
    with tempfile.TemporaryDirectory() as folder:
        numpy.save(f"{folder}/a.npy", left)
        mapped = numpy.load(f"{folder}/a.npy", mmap_mode="r+")
        mapped[0, 0] = 2
        mapped.flush()
        assert numpy.load(f"{folder}/a.npy")[0, 0] == 2


@case
def pandas_frames():
    import pandas

    frame = pandas.DataFrame({"a": range(1000), "b": [str(n % 7) for n in range(1000)]})
    assert frame.groupby("b")["a"].sum().sum() == 499500
    with tempfile.TemporaryDirectory() as folder:
        frame.to_csv(f"{folder}/a.csv.gz")
        frame.to_pickle(f"{folder}/a.pickle")
        assert len(pandas.read_csv(f"{folder}/a.csv.gz")) == 1000
        assert pandas.read_pickle(f"{folder}/a.pickle").equals(frame)
    assert len(pandas.date_range("2024-01-01", periods=3, tz="Europe/Berlin")) == 3


@standard_case
def requests_to_a_loopback_server():
    import requests

    handler = http.server.SimpleHTTPRequestHandler
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with requests.Session() as session:
            session.trust_env = False
            url = f"http://localhost:{server.server_address[1]}/{Path(__file__).name}"
            assert session.get(url, timeout=30).status_code in (200, 404)
        server.shutdown()
        thread.join(30)


if __name__ == "__main__":
    {**CASES, **STANDARD_CASES}[sys.argv[1]]()
