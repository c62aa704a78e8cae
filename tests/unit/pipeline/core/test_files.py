"""No reader ever sees half a file; two files are the same when their bytes are; code counts, comments do not."""

import errno
import hashlib
import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.core.files import (
    atomic_write,
    link_or_copy,
    read_csv,
    repository_root,
    require_space,
    scratch_folder,
    sha256_of_file,
    write_csv,
    write_json,
    write_text,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestAtomicWrite:
    def test_replaces_the_file_only_in_the_end(self, tmp_path):
        path = tmp_path / "new" / "file"
        with atomic_write(path) as temporary:
            temporary.write_text("one")
            assert temporary.parent == path.parent
            assert not path.exists()
        with atomic_write(path) as temporary:
            temporary.write_text("two")
            assert path.read_text() == "one"
        assert path.read_text() == "two"
        assert names_in(path.parent) == ["file"]

    @pytest.mark.parametrize("error", [ValueError("no"), OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
    def test_leaves_the_old_file_and_nothing_else_when_it_fails(self, error, tmp_path):
        path = tmp_path / "file"
        path.write_text("old")
        with pytest.raises(type(error)), atomic_write(path) as temporary:  # noqa: PT012
            temporary.write_text("half")
            raise error
        assert path.read_text() == "old"
        assert names_in(tmp_path) == ["file"]

    def test_leaves_the_old_file_when_the_disk_is_full_at_the_flush(self, tmp_path, monkeypatch):
        path = tmp_path / "file"
        path.write_text("old")

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_text(path, "new")
        assert path.read_text() == "old"
        assert names_in(tmp_path) == ["file"]

    @pytest.mark.parametrize("link", [os.symlink, os.link])
    def test_replaces_a_link_and_does_not_write_through_it(self, link, tmp_path):
        cached, path = tmp_path / "cached", tmp_path / "file"
        cached.write_text("in the cache")
        link(cached, path)
        write_text(path, "new")
        assert cached.read_text() == "in the cache"
        assert path.read_text() == "new"
        assert not path.is_symlink()

    def test_a_body_that_wrote_nothing_is_an_error(self, tmp_path):
        with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "file"):
            pass
        assert names_in(tmp_path) == []


class TestFormats:
    def test_text_is_utf8_with_plain_line_ends(self, tmp_path):
        write_text(tmp_path / "file", "ü\n")
        assert (tmp_path / "file").read_bytes() == b"\xc3\xbc\n"

    def test_json_is_readable_and_refuses_nan_before_it_touches_the_file(self, tmp_path):
        path = tmp_path / "file"
        write_json(path, {"ü": 1})
        assert path.read_text(encoding="utf-8") == '{\n  "ü": 1\n}\n'
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(path, float("nan"))
        assert path.read_text(encoding="utf-8").startswith("{")

    def test_csv_comes_back_as_it_was(self, tmp_path):
        rows = [{"a": 'x,"y"', "b": "two\nlines"}, {"a": "", "b": "ü"}]
        write_csv(tmp_path / "file", ["a", "b"], rows)
        assert read_csv(tmp_path / "file") == rows
        assert b"\r" not in (tmp_path / "file").read_bytes()

    def test_csv_refuses_a_row_with_another_column(self, tmp_path):
        with pytest.raises(ValueError, match="fields not in fieldnames"):
            write_csv(tmp_path / "file", ["a"], [{"b": 1}])
        assert names_in(tmp_path) == []


def test_sha256_is_that_of_the_bytes(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


class TestScratch:
    def test_lies_in_the_main_repository_that_dvc_names(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))
        monkeypatch.chdir(tmp_path)
        folder = scratch_folder("stage", "name")
        assert folder == tmp_path / "main" / "data" / ".work" / "stage" / "name"
        assert folder.is_dir()

    @pytest.mark.parametrize("value", [None, ""])
    def test_else_lies_in_the_working_folder(self, value, tmp_path, monkeypatch):
        monkeypatch.delenv("DVC_ROOT")
        if value is not None:
            monkeypatch.setenv("DVC_ROOT", value)
        monkeypatch.chdir(tmp_path)
        assert repository_root() == tmp_path


class TestLinkOrCopy:
    def test_links_where_it_can(self, tmp_path):
        source, target = tmp_path / "source", tmp_path / "folder" / "target"
        source.write_text("content")
        link_or_copy(source, target)
        assert target.samefile(source)

    def test_copies_where_links_are_not_possible(self, tmp_path, monkeypatch):
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_text("content")
        target.write_text("old")

        def refuse(*_: object) -> None:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(files.os, "link", refuse)
        link_or_copy(source, target)
        assert target.read_text() == "content"
        assert not target.samefile(source)
        assert names_in(tmp_path) == ["source", "target"]

    def test_may_be_repeated(self, tmp_path):
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_text("content")
        for _ in range(2):
            link_or_copy(source, target)
        assert names_in(tmp_path) == ["source", "target"]

    def test_leaves_the_old_file_and_nothing_else_when_it_fails(self, tmp_path, monkeypatch):
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_text("content")
        target.write_text("old")

        def fill(_: Path, temporary: Path) -> None:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(files.os, "link", fill)
        monkeypatch.setattr(files.shutil, "copyfile", fill)
        with pytest.raises(OSError, match="No space left"):
            link_or_copy(source, target)
        assert target.read_text() == "old"
        assert names_in(tmp_path) == ["source", "target"]


SPACE = {"task": "import audio", "subject": "audio features", "remedy": "make room"}


class TestRequireSpace:
    @pytest.fixture
    def disk(self, monkeypatch):
        """Stand for a disk with 1.5 GB left."""
        monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_500_000_000))

    def test_what_fits_is_said(self, disk, tmp_path, caplog):
        with caplog.at_level(logging.INFO):
            require_space(tmp_path, 1_500_000_000, **SPACE)
        assert caplog.messages == ["import audio: writes up to 1.50 GB, 2 GB are free"]

    def test_a_byte_too_many_is_refused(self, disk, tmp_path):
        with pytest.raises(
            PipelineError,
            match=r"^audio features: expected 1\.50 GB of free disk, found 1\.50 GB; make room$",
        ):
            require_space(tmp_path, 1_500_000_001, **SPACE)
