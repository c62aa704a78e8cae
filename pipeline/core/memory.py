"""How much of the machine's memory this process may still take."""

from collections.abc import Iterator
from pathlib import Path

UNKNOWN_BYTES = 4 << 30
"""What is taken to be available on systems that do not tell."""


def available_bytes() -> int:
    """Return the memory that new data may take, in bytes; on systems that do not tell, :data:`UNKNOWN_BYTES`."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return UNKNOWN_BYTES
    fields = dict(line.split(":") for line in text.splitlines())
    return min([int(fields["MemAvailable"].split()[0]) * 1024, *left_in_groups(Path("/sys/fs/cgroup"))])


def left_in_groups(root: Path, of_process: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Yield what is left of the memory limits of this process's control groups, as containers and schedulers set them.

    Parameters
    ----------
    root : Path
        Where the control groups are mounted, version 2.
    of_process : Path
        The file that names the groups of a process.

    Yields
    ------
    int
        Bytes, 0 or more; nothing of a group without a limit.
    """
    try:
        entries = of_process.read_text().splitlines()
    except OSError:
        return
    for entry in entries:
        if not entry.startswith("0::"):
            continue
        group = root / entry.removeprefix("0::").lstrip("/")
        for folder in (group, *group.parents):
            if (left := _left_in_group(folder)) is not None:
                yield left


def _left_in_group(folder: Path) -> int | None:
    """Return what is left of one group's limit; None if there is no limit, or it is not shown.

    What the kernel would drop at once, the bytes of files read, does not count as used.
    """
    try:
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
        fields = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return max(0, limit - used + int(fields.get("inactive_file", 0)))
