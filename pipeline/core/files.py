"""Files: atomic writing, so that nobody ever reads half of one, and hashes that tell contents apart."""

import csv
import hashlib
import json
import logging
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.core.errors import PipelineError, explain

logger = logging.getLogger(__name__)


@contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it into place.

    A reader sees the old file or the new one. An exception, a kill or a full disk leaves `path` as it was.
    The new file replaces a link instead of writing through it: DVC links outputs into its cache. Without `durable` it
    may be lost or torn when the power fails; that is much faster, and right for a file that readers check by its hash.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # This process's own, also on a file system that several machines share.
    temporary = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.tmp")
    try:
        yield temporary
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            _fsync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN is refused, as JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write `rows` as comma-separated values with a header line, atomically."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a file that :func:`write_csv` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def repository_root() -> Path:
    """Return the main repository, also inside ``dvc exp run --temp`` and queue workers (``$DVC_ROOT``)."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def scratch_folder(stage: str, name: str) -> Path:
    """Return ``data/.work/<stage>/<name>`` of the main repository, made if need be.

    Scratch holds what a killed run has finished. DVC, which deletes a stage's outputs before it runs the stage, does
    not know it.
    """
    folder = repository_root() / "data" / ".work" / stage / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a scratch folder; a second run that wants it waits, and says so."""
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("another run is computing the same result; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def require_space(folder: Path, num_bytes: int, *, task: str, subject: str, remedy: str) -> None:
    """Log how much `task` is about to write into `folder`, and refuse if the disk has no room for it.

    Parameters
    ----------
    folder : Path
    num_bytes : int
        At the most.
    task : str
        What writes, as log lines name it.
    subject : str
        What is written.
    remedy : str

    Raises
    ------
    PipelineError
        If fewer bytes are free.
    """
    free = shutil.disk_usage(folder).free
    logger.info("%s: writes up to %.2f GB, %.0f GB are free", task, num_bytes / 1e9, free / 1e9)
    if num_bytes > free:
        raise PipelineError(
            explain(
                subject,
                expected=f"{num_bytes / 1e9:.2f} GB of free disk",
                found=f"{free / 1e9:.2f} GB",
                remedy=remedy,
            )
        )


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same bytes as `source`, atomically: a hard link where the file system allows one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
