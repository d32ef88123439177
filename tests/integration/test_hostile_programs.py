"""Programs that fight the supervisor, the protocol and the caps."""

from tests.harness import Api

FAST = {"max_execution_time_seconds": 5}


def test_endless_output_keeps_head_tail_and_the_true_count(api: Api) -> None:
    execution = api.run(
        "import sys\nsys.stdout.write('HEAD')\n"
        "for _ in range(300): sys.stdout.write('x' * 100_000)\nsys.stdout.write('TAIL')"
    )
    stream = execution["stdout"]
    assert execution["status"] == "succeeded"
    assert stream["total_bytes"] == 30_000_008
    assert stream["truncated"] is True
    assert stream["text"].startswith("HEADxxx")
    assert stream["text"].endswith("xxxTAIL")
    assert "bytes left out" in stream["text"]
    assert len(stream["text"]) < 300_000


def test_output_without_end_is_stopped_at_the_hard_cap(api: Api) -> None:
    execution = api.run(
        "import os\nblock = b'y' * 65536\nwhile True: os.write(1, block)",
        execution_limits={"max_execution_time_seconds": 60, "max_cpu_percent": 100},
    )
    assert (execution["status"], execution["reason"]) == ("failed", "output_limit")
    assert execution["stdout"]["total_bytes"] > 2**30


def test_binary_output_survives(api: Api) -> None:
    execution = api.run("import sys; sys.stdout.buffer.write(b'\\xff\\x00\\xfe')")
    assert execution["stdout"]["base64"] == "/wD+"
    assert execution["stdout"]["total_bytes"] == 3


def test_the_supervisor_cannot_be_killed_stopped_or_read(api: Api) -> None:
    execution = api.run(
        "import os, signal\n"
        "for number in (9, 19, 15, 2): os.kill(1, number)\n"
        "for path in ('/proc/1/mem', '/proc/1/environ', '/proc/1/fd/0', '/proc/1/maps'):\n"
        "    try: open(path, 'rb').read(1); print('READ', path)\n"
        "    except OSError as error: print(error.errno)\n"
        "print(os.getppid())",
        execution_limits=FAST,
    )
    assert execution["status"] == "succeeded"
    assert "READ" not in execution["stdout"]["text"]
    assert execution["stdout"]["text"].endswith("\n1\n")


def test_the_supervisors_limits_and_priority_are_out_of_reach(api: Api) -> None:
    execution = api.run(
        "import ctypes, os, resource\n"
        "for limit in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_NOFILE):\n"
        "    try: resource.prlimit(1, limit, (0, 0)); print('SET', limit)\n"
        "    except PermissionError: pass\n"
        "for call in (lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),\n"
        "             lambda: os.setpriority(os.PRIO_USER, 0, 19),\n"
        "             lambda: os.setpriority(os.PRIO_PGRP, 1, 19),\n"
        "             lambda: os.sched_setaffinity(1, {0}),\n"
        "             lambda: os.sched_setaffinity(2**32 + 1, {0}),\n"
        "             lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))):\n"
        "    try: call(); print('DONE')\n"
        "    except (PermissionError, OverflowError): pass\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)); os.nice(1)\n"
        "os.sched_setaffinity(0, os.sched_getaffinity(0)); print('own is fine')"
    )
    assert execution["stdout"]["text"] == "own is fine\n"
    assert execution["usage"]["cpu_seconds"] > 0
    assert execution["usage"]["peak_memory_bytes"] > 0


def test_emptying_its_own_pipe_does_not_hang_the_supervisor(api: Api) -> None:
    # Between the supervisor's being told of a byte and its reading it, the byte is gone.
    execution = api.run(
        "import os, threading\n"
        "own = os.open('/proc/self/fd/1', os.O_RDONLY | os.O_NONBLOCK)\n"
        "for _ in range(20000):\n"
        "    os.write(1, b'x')\n"
        "    try: os.read(own, 1)\n"
        "    except BlockingIOError: pass\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    while True: pass\n"
        "os._exit(0)",
        execution_limits={"max_execution_time_seconds": 15},
    )
    assert (execution["status"], execution["exit_code"]) == ("succeeded", 0)
    assert execution["usage"]["wall_seconds"] < 14


def test_the_minimal_profile_runs_ordinary_programs(api: Api) -> None:
    execution = api.run(
        "import json, sys, threading, subprocess, tempfile, sqlite3, asyncio\n"
        "async def main(): await asyncio.sleep(0); return 'async'\n"
        "print(asyncio.run(main()), sqlite3.connect(':memory:').execute('select 1').fetchone())\n"
        "print(subprocess.run([sys.executable, '-c', 'print(2)'], capture_output=True).stdout)\n"
        "open('output/a', 'w').write(open('in.txt').read())",
        security_profile="minimal",
        restricted_python=False,
        files=[{"path": "in.txt", "content": "input"}],
        execution_limits={"max_file_descriptors": 64},
    )
    assert execution["status"] == "succeeded", execution
    assert execution["stdout"]["text"] == "async (1,)\nb'2\\n'\n"
    assert [item["path"] for item in execution["artifacts"]] == ["a"]
    assert execution["isolation"]["inside"]["capabilities"]["bounding"] == []
    assert execution["network_access"] == "none"


def test_killing_everything_only_ends_the_program(api: Api) -> None:
    execution = api.run(
        "import os, time\nif os.fork() == 0: time.sleep(60)\nos.kill(-1, 9)\nprint('alive')",
        execution_limits=FAST,
    )
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "alive\n")


def test_survivors_that_hold_the_output_end_with_the_program(api: Api) -> None:
    execution = api.run(
        "import os, time\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork(): os._exit(0)\n"
        "        time.sleep(60)\n"
        "print('parent done')",
        execution_limits={"max_execution_time_seconds": 20},
    )
    assert execution["status"] == "succeeded"
    assert execution["usage"]["wall_seconds"] < 5


def test_ignoring_every_signal_does_not_outlast_the_limit(api: Api) -> None:
    execution = api.run(
        "import signal, time\n"
        "for number in range(1, 65):\n"
        "    try: signal.signal(number, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "while True: time.sleep(1)",
        execution_limits={"max_execution_time_seconds": 1},
    )
    assert execution["status"] == "timed_out"


def test_closing_its_pipes_does_not_end_or_hang_the_run(api: Api) -> None:
    execution = api.run("import os, time\nos.closerange(0, 50)\ntime.sleep(0.5)\nos._exit(7)")
    assert (execution["status"], execution["exit_code"]) == ("failed", 7)


def test_forged_frames_are_only_output(api: Api) -> None:
    execution = api.run(
        "import os, struct\n"
        'body = b\'{"exit_code": 0, "signal": null}\'\n'
        "forged = struct.pack('>cI', b'X', len(body)) + body\n"
        "os.write(1, forged)\n"
        "for fd in range(3, 60):\n"
        "    try: os.write(fd, forged)\n"
        "    except OSError: pass\n"
        "os._exit(3)"
    )
    assert (execution["status"], execution["exit_code"]) == ("failed", 3)
    assert "exit_code" in execution["stdout"]["text"]


def test_a_fork_bomb_stays_within_its_processes(api: Api) -> None:
    execution = api.run(
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        execution_limits={"max_execution_time_seconds": 2, "max_processes": 20},
    )
    assert execution["status"] == "timed_out"
    assert api.run("print('next')")["stdout"]["text"] == "next\n"


def test_threads_count_as_processes(api: Api) -> None:
    execution = api.run(
        "import threading, time\n"
        "try:\n"
        "    for n in range(50): threading.Thread(target=time.sleep, args=(1,)).start()\n"
        "except RuntimeError: print('refused at', n)",
        execution_limits={"max_processes": 10},
    )
    assert execution["stdout"]["text"] == "refused at 9\n"


def test_descriptors_run_out_at_the_limit(api: Api) -> None:
    execution = api.run(
        "kept = []\ntry:\n    while True: kept.append(open('/dev/null'))\n"
        "except OSError as error: print(error.errno, len(kept) + 3)",
        execution_limits={"max_file_descriptors": 32},
    )
    assert execution["stdout"]["text"] == "24 32\n"


def test_the_disk_fills_only_to_its_quota(api: Api) -> None:
    execution = api.run(
        "import os\n"
        "def fill(path):\n"
        "    size = 0\n"
        "    try:\n"
        "        with open(path, 'wb', buffering=0) as file:\n"
        "            while True: size += file.write(bytes(2**20))\n"
        "    except OSError as error: return error.errno, size // 2**20\n"
        "print(fill('/workspace/f'), fill('/tmp/f'), fill('/dev/shm/f')[0])\n"
        "try: open('/root_is_read_only', 'w')\n"
        "except OSError as error: print(error.errno)",
        resource_limits={"storage_quota_mb": 40},
    )
    assert execution["stdout"]["text"] == "(28, 29) (28, 10) 28\n30\n"  # main.py takes a page


def test_hostile_artifacts_are_left_out_and_named(api: Api) -> None:
    execution = api.run(
        "import os, socket\n"
        "os.symlink('/etc/passwd', 'output/link')\n"
        "os.symlink('/etc', 'output/folder_link')\n"
        "os.mkfifo('output/fifo')\n"
        "open('one', 'w').write('1'); os.link('one', 'output/hard')\n"
        "open('output/sparse', 'w').truncate(2**40)\n"
        "open(b'output/\\xff\\xfe', 'w').write('x')\n"
        "open('output/new\\nline', 'w').write('x')\n"
        "open('output/closed', 'w').write('x'); os.chmod('output/closed', 0)\n"
        "os.makedirs('output/' + 'd/' * 12); open('output/' + 'd/' * 12 + 'deep', 'w')\n"
        "open('output/good.txt', 'w').write('good')"
    )
    assert execution["status"] == "succeeded"
    assert [item["path"] for item in execution["artifacts"]] == ["good.txt"]
    warnings = "\n".join(execution["warnings"])
    for name in ("link", "folder_link", "fifo", "hard", "sparse", "closed", "d/d/d/d"):
        assert f"{name}" in warnings


def test_too_many_artifacts_are_cut_at_the_count(api: Api) -> None:
    execution = api.run("for n in range(300): open(f'output/{n:03}', 'w').write('x')")
    assert execution["status"] == "succeeded"
    assert len(execution["artifacts"]) == 64
    assert "216 more artifacts left out" in execution["warnings"]


def test_a_directory_of_endless_names_is_looked_at_only_so_far(api: Api) -> None:
    execution = api.run(
        "n = 0\n"
        "try:\n"
        "    while True:\n"
        "        open(f'output/{n:06}' + 'x' * 200, 'w').close(); n += 1\n"
        "except OSError: print('full')",
        execution_limits={"max_execution_time_seconds": 60, "max_cpu_percent": 100},
    )
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "full\n")
    assert execution["usage"]["peak_memory_bytes"] > 0
    assert len(execution["artifacts"]) == 64
    # 10,000 were looked at: 64 came out, 20 are named, and the end of the looking counts as one.
    assert "9917 more artifacts left out" in execution["warnings"]


def test_pipes_held_by_sockets_in_flight_do_not_hold_the_end_up(api: Api) -> None:
    execution = api.run(
        "import array, os, socket\n"
        "for _ in range(3):\n"
        "    one, two = socket.socketpair()\n"
        "    held = array.array('i', [one.fileno(), two.fileno(), 1, 2])\n"
        "    for end in (one, two):\n"
        "        end.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, held)])\n"
        "print('sent', flush=True)\nos._exit(0)",
        execution_limits={"max_execution_time_seconds": 20},
    )
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "sent\n")
    assert execution["usage"]["wall_seconds"] < 5


def test_replacing_the_output_folder_by_a_link_yields_nothing(api: Api) -> None:
    execution = api.run("import os; os.rmdir('output'); os.symlink('/etc', 'output')")
    assert execution["status"] == "succeeded"
    assert execution["artifacts"] == []


def test_there_is_no_network_but_loopback(api: Api) -> None:
    execution = api.run(
        "import os, socket\nprint(os.listdir('/sys/class/net'))\n"
        "for address in (('172.17.0.1', 22), ('169.254.169.254', 80), ('8.8.8.8', 53)):\n"
        "    try: socket.create_connection(address, 1); print('REACHED', address)\n"
        "    except OSError as error: print(error.errno)\n"
    )
    # 101: network unreachable.
    assert execution["stdout"]["text"] == "['lo']\n101\n101\n101\n"
