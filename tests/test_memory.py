"""Memory: what a process may still take, and the sentence that refuses more."""

import math
import os
import resource

import pytest
import runs

from fcclf.data import memory
from fcclf.errors import RunError

GB = 10**9


def test_the_machine_has_memory_and_not_more_than_it_has():
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < memory.available_memory() <= pages


def addresses_under(limit):
    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return memory.available_addresses()


def test_a_limit_on_the_address_space_counts_less_what_is_mapped():
    assert runs.elsewhere(addresses_under, None) == math.inf
    assert 20 * GB < runs.elsewhere(addresses_under, 30 * GB) < 29.5 * GB


@pytest.mark.parametrize(
    ("membership", "files", "left"),
    [
        ("0::/", {"memory.max": 900, "memory.current": 500, "memory.stat": "anon 7\ninactive_file 300\n"}, [700]),
        ("0::/a/b", {"a/memory.max": 900, "a/memory.current": 500, "a/b/memory.max": "max"}, [400]),
        ("0::/gone", {"memory.max": 900, "memory.current": 500}, [400]),
        (
            "5:cpu,memory:/docker/x",
            {"memory/memory.limit_in_bytes": 900, "memory/memory.usage_in_bytes": 100},
            [800],
        ),
        ("4:cpu:/a", {"a/memory.max": 900, "a/memory.current": 500}, []),
        ("0::/../..", {}, []),
    ],
    ids=["root", "around it", "container", "version 1", "another controller", "outside"],
)
def test_every_control_group_of_the_process_counts(tmp_path, membership, files, left):
    for name, content in files.items():
        file = tmp_path / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(content))
    (tmp_path / "cgroup").write_text(membership + "\n")
    assert list(memory._of_groups(tmp_path / "groups", tmp_path / "cgroup")) == left


def test_more_than_there_is_is_refused_with_both_figures_and_a_remedy(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * GB)
    monkeypatch.setattr(memory, "available_addresses", lambda: 4 * GB)
    memory.require(memory.Needed(3 * GB, GB), "this", "less")
    with pytest.raises(RunError, match=r"^this needs about 3\.1 GB of memory, but 3\.0 GB are available: less\.$"):
        memory.require(memory.Needed(3 * GB + GB // 10), "this", "less")
    with pytest.raises(RunError, match=r"^this needs about 4\.5 GB of address space \(ulimit -v\), but 4\.0 GB are"):
        memory.require(memory.Needed(3 * GB, 3 * GB // 2), "this", "less")
