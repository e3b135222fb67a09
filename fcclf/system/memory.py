"""How much memory this process may still take. What would need more is refused before it is allocated.

Three limits count: what the machine has left (MemAvailable in /proc/meminfo), those of the process's control groups
(version 1 or 2), and the address space the process may map (RLIMIT_AS, `ulimit -v`). If the system does not tell, there
is no limit. Standard library only: the command line asks before it imports TensorFlow.
"""

import contextlib
import math
import os
import resource
from pathlib import Path
from typing import NamedTuple

from fcclf.errors import RunError


class Needed(NamedTuple):
    """Bytes that something needs. resident: of memory in use; mapped: of further address space, such as stacks of
    threads."""

    resident: int
    mapped: int = 0


def require(needed: Needed, purpose: str, remedy: str):
    """Raises RunError, "{purpose} needs about ...: {remedy}.", unless so much memory is available."""
    resident, mapped = available_memory(), available_addresses()
    if needed.resident > resident:
        raise RunError(_refusal(purpose, needed.resident, "memory", resident, remedy))
    if sum(needed) > mapped:
        raise RunError(_refusal(purpose, sum(needed), "address space (ulimit -v)", mapped, remedy))


def _refusal(purpose, needed, what, available, remedy):
    return f"{purpose} needs about {written(needed)} of {what}, but {written(available)} are available: {remedy}."


def written(size: float) -> str:
    """A number of bytes for people, such as 1.50 GB."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{math.ceil(size / 1e6)} MB"


def available_memory() -> float:
    """Bytes that the machine and the control groups of the process have left."""
    return max(0, min([_of_machine(), *_of_groups()]))


def available_addresses() -> float:
    """Bytes of address space that the process may still map."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return math.inf
    with contextlib.suppress(OSError):
        pages, _ = Path("/proc/self/statm").read_text().split(maxsplit=1)
        limit -= int(pages) * os.sysconf("SC_PAGE_SIZE")
    return max(0, limit)


def _of_machine():
    return 1024 * _entry(Path("/proc/meminfo"), "MemAvailable:", math.inf)


def _of_groups(root=Path("/sys/fs/cgroup"), memberships=Path("/proc/self/cgroup")):
    """What each memory control group of the process, and each group around it, has left."""
    lines = []
    with contextlib.suppress(OSError):
        lines = memberships.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _of_hierarchy(root, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            yield from _of_hierarchy(root / "memory", path, *names)


def _of_hierarchy(root, path, limit, usage, reclaimed):
    """What each group of a hierarchy has left. In a container the group may be visible only as the root of the
    hierarchy; files that are missing do not count."""
    group = root / path.lstrip("/")
    for directory in [group, *group.parents]:
        if directory.is_relative_to(root):
            with contextlib.suppress(OSError, ValueError):  # "max" is no limit
                left = int((directory / limit).read_text()) - int((directory / usage).read_text())
                yield left + _entry(directory / "memory.stat", reclaimed, 0)


def _entry(path, name, missing):
    """The number after `name` in a file of lines."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            if line.split(maxsplit=1)[:1] == [name]:
                return int(line.split()[1])
    return missing
