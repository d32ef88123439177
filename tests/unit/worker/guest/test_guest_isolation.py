"""Reading what the kernel says, from files of both cgroup versions."""

import pytest

from worker.sandbox.guest import isolation


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "CGROUP", tmp_path)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="ascii")

    return write


def test_version_one_tells_kills_peak_and_time(cgroup):
    cgroup(
        memory__memory_DOT_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
        memory__memory_DOT_max_usage_in_bytes="12345\n",
        cpuacct__cpuacct_DOT_usage="1500000000\n",
    )
    assert isolation.memory_events() == (3, 12345)
    assert isolation.cpu_seconds() == 1.5


def test_version_two_tells_kills_peak_and_time(cgroup):
    cgroup(
        memory_DOT_events="low 0\nhigh 0\nmax 4\noom 1\noom_kill 2\n",
        memory_DOT_peak="777\n",
        cpu_DOT_stat="usage_usec 2500000\nuser_usec 1\n",
    )
    assert isolation.memory_events() == (2, 777)
    assert isolation.cpu_seconds() == 2.5


def test_what_the_kernel_does_not_tell_is_unknown(cgroup):
    assert isolation.memory_events() == (0, None)
    assert isolation.cpu_seconds() is None


def test_words_where_numbers_are_expected_are_unknown(cgroup):
    cgroup(memory_DOT_events="oom_kill many\n", memory_DOT_peak="max\n", cpu_DOT_stat="x")
    assert isolation.memory_events() == (0, None)
    assert isolation.cpu_seconds() is None


def test_this_very_process_can_be_described():
    told = isolation.read()
    assert isinstance(told["uid"], int)
    assert isinstance(told["seccomp_mode"], int)
    assert "/" in told["mounts"]
    assert all(int(mask, 16) >= 0 for mask in told["capabilities"].values())
    assert set(told["cgroup"]) == set(isolation.CGROUP_FILES)
