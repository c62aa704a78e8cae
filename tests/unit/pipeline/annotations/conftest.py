import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.params.schema import DatasetParams

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def dataset_params() -> Callable[..., DatasetParams]:
    """Return a maker of dataset params: ten segments of 1 s, the format AVE, unless told otherwise."""

    def make(**changes: object) -> DatasetParams:
        values = {
            "name": "small",
            "task": "localization",
            "format": "ave",
            "videos": "videos",
            "split": "official",
            "ambiguous_videos": "largest",
            "labels": "annotations",
            "short_clips": "mask",
            "num_segments": 10,
            "segment_seconds": 1.0,
            "min_coverage": 0.99,
        }
        return DatasetParams.model_validate({**values, **changes})

    return make


@pytest.fixture
def write_ave(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of a raw folder in AVE's form; `splits` names the rows of train, val and test by number."""

    def write(
        rows: list[str],
        *,
        orders: tuple[list[int], list[int], list[int]] | None = None,
        sets: tuple[list[int], list[int], list[int]] | None = None,
        header: str | None = None,
    ) -> Path:
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        lines = [header, *rows] if header else rows
        (raw / "Annotations.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if orders is None and sets is None:
            sets = (list(range(len(rows))), [], [])
        for split, numbers in zip(("train", "val", "test"), orders or (), strict=False):
            with h5py.File(raw / f"{split}_order.h5", "w") as file:
                file["order"] = np.array(numbers, dtype=np.int64)
        for split, numbers in zip(("train", "val", "test"), sets or (), strict=False):
            text = "".join(f"{rows[number]}\n" for number in numbers)
            (raw / f"{split}Set.txt").write_text(text, encoding="utf-8")
        return raw

    return write


@pytest.fixture
def write_labels() -> Callable[..., Path]:
    """Return a writer of a label file as released, next to the annotations."""

    def write(raw: Path, name: str, labels: object, *, data_set: str = "avadataset") -> Path:
        with h5py.File(raw / name, "w") as file:
            file[data_set] = np.asarray(labels)
        return raw / name

    return write


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[[str], Path]:
    """Return a writer of a raw folder with ``clips.csv``."""

    def write(text: str) -> Path:
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        (raw / "clips.csv").write_text(text, encoding="utf-8")
        return raw

    return write


@pytest.fixture(scope="session")
def real_ave() -> Path:
    folder = Path(os.environ.get("AVEL_REAL_DIR", REPOSITORY.parent / "shared" / "real")) / "ave"
    if not (folder / "Annotations.txt").is_file():
        pytest.skip(f"no real AVE annotations in {folder}; set AVEL_REAL_DIR")
    return folder
