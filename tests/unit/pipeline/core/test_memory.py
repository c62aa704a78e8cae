from pathlib import Path

import pytest

from pipeline.core.memory import UNKNOWN_BYTES, available_bytes, left_in_groups


def test_the_memory_limit_of_a_container_counts(tmp_path: Path) -> None:
    assert list(left_in_groups(tmp_path / "nothing")) == []
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 200\n")
    entries = tmp_path / "cgroup"
    entries.write_text("0::/\n")
    assert list(left_in_groups(tmp_path, entries)) == []
    (tmp_path / "memory.max").write_text("1000\n")
    assert list(left_in_groups(tmp_path, entries)) == [500]
    job = tmp_path / "slurm" / "job"
    job.mkdir(parents=True)
    for name, text in (("max", "300"), ("current", "350"), ("stat", "")):
        (job / f"memory.{name}").write_text(text)
    entries.write_text("1:name=systemd:/else\n0::/slurm/job\n")
    assert list(left_in_groups(tmp_path, entries)) == [0, 500]


def test_a_system_that_shows_its_memory_has_some(monkeypatch: pytest.MonkeyPatch) -> None:
    assert available_bytes() > 0
    monkeypatch.setattr(Path, "read_text", refuse)
    assert available_bytes() == UNKNOWN_BYTES


def refuse(path: Path) -> str:
    raise FileNotFoundError(path)
