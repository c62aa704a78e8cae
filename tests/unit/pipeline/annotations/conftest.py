import os
from collections.abc import Callable, Mapping
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


LLP_FILES = {
    "AVVP_train.csv": ["filename\tevent_labels", "aaaaaaaaaa1_0_10\tSpeech,Dog", "aa_aaaaaa-2_1.5_11.5\tCar"],
    "AVVP_val_pd.csv": ["filename\tevent_labels", "bbbbbbbbbb1_30_40\tSpeech"],
    "AVVP_test_pd.csv": ["filename\tevent_labels", "cccccccccc1_0_10\tDog,Speech", "cccccccccc2_20_30\tCar"],
    "AVVP_eval_audio.csv": [
        "filename\tonset\toffset\tevent_labels",
        "bbbbbbbbbb1_30_40\t0\t4\tSpeech",
        "cccccccccc1_0_10\t2\t10\tDog",
        "cccccccccc1_0_10\t0\t1\tSpeech",
        "cccccccccc1_0_10\t3\t5\tSpeech",
        "cccccccccc2_20_30\t9\t10\tCar",
    ],
    "AVVP_eval_visual.csv": [
        "filename\tonset\toffset\tevent_labels",
        "bbbbbbbbbb1_30_40\t0\t10\tSpeech",
        "cccccccccc1_0_10\t3\t7\tDog",
        "cccccccccc2_20_30\t0\t10\tCar",
    ],
}
"""A small data set in LLP's form in which nothing is odd, line by line."""


@pytest.fixture
def write_llp(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of a raw folder in LLP's form.

    `more` names lines to add to a file, or a new file's; `changes` a line by its number, from 1, or None to leave it
    out; `without` is a file that is not written.
    """

    def write(
        more: Mapping[str, list[str]] | None = None,
        changes: Mapping[tuple[str, int], str | None] | None = None,
        without: str = "",
    ) -> Path:
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        files = {name: list(lines) for name, lines in LLP_FILES.items() if name != without}
        for (name, line), text in (changes or {}).items():
            files[name][line - 1 : line] = [] if text is None else [text]
        for name, lines in (more or {}).items():
            files.setdefault(name, []).extend(lines)
        for name, lines in files.items():
            (raw / name).write_bytes("".join(f"{line}\n" for line in lines).encode())
        return raw

    return write


@pytest.fixture
def write_parsing_tables(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a writer of a raw folder with ``clips.csv`` and ``events.csv``."""

    def write(clips: str, events: str) -> Path:
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        (raw / "clips.csv").write_text(clips, encoding="utf-8")
        (raw / "events.csv").write_text(events, encoding="utf-8")
        return raw

    return write


@pytest.fixture(scope="session")
def real_llp() -> Path:
    folder = Path(os.environ.get("AVEL_LLP_DIR", REPOSITORY.parent / "shared" / "llp"))
    if not (folder / "AVVP_train.csv").is_file():
        pytest.skip(f"no real lists of LLP in {folder}; set AVEL_LLP_DIR")
    return folder


@pytest.fixture(scope="session")
def second_golden_set() -> Path:
    folder = Path(os.environ.get("AVEL_GOLDEN_MORE_DIR", REPOSITORY.parent / "shared" / "golden_more"))
    if not (folder / "llp_truth.npz").is_file():
        pytest.skip(f"no second set of golden vectors in {folder}; set AVEL_GOLDEN_MORE_DIR")
    return folder


@pytest.fixture(scope="session")
def real_ave() -> Path:
    folder = Path(os.environ.get("AVEL_REAL_DIR", REPOSITORY.parent / "shared" / "real")) / "ave"
    if not (folder / "Annotations.txt").is_file():
        pytest.skip(f"no real AVE annotations in {folder}; set AVEL_REAL_DIR")
    return folder
