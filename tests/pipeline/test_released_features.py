"""Data sets of which only the authors' feature files are at hand: from those files to the report."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

CATEGORIES = ("Church bell", "Bark", "bird chirping, tweeting")
NUM_SEGMENTS = 10
CHANNELS = 6
NUM_NOISY = 4

ROWS = [(f"video{number:02d}", number % len(CATEGORIES)) for number in range(45)]
ROWS[43] = (ROWS[1][0], ROWS[1][1])  # as 45 of AVE's videos have two rows
SPLITS = ["train" if number % 15 < 9 else "val" if number % 15 < 12 else "test" for number in range(len(ROWS))]


def events_of(number: int) -> np.ndarray:
    """Return which segments of a row hold its event, (T,) bool."""
    start = number % 5
    return (np.arange(NUM_SEGMENTS) >= start) & (np.arange(NUM_SEGMENTS) < start + 5)


def features_of(video_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Return maps (T, 7, 7, 6) and audio vectors (T, 128), in which the video's event can be seen and heard."""
    number = next(number for number, row in enumerate(ROWS) if row[0] == video_id)
    generator = np.random.default_rng(number)
    maps = generator.random((NUM_SEGMENTS, 7, 7, CHANNELS), np.float32)
    sound = generator.random((NUM_SEGMENTS, 128), np.float32)
    category, events = ROWS[number][1], events_of(number)
    maps[events, :, :, category] += 2
    sound[events, 10 * category : 10 * category + 10] += 2
    return maps, sound


def write_h5(path: Path, name: str, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file[name] = values


def write_ave(raw: Path) -> None:
    """Write what the authors of AVE distribute beside the videos: annotations, orders, labels and features."""
    raw.mkdir(parents=True)
    lines = []
    for number, (video_id, category) in enumerate(ROWS):
        start = number % 5
        # The second row of a video is another annotation of it; here, of a later event.
        lines.append(f"{CATEGORIES[category]}&{video_id}&good&{start}&{start + 5}\n")
    (raw / "Annotations.txt").write_text("".join(lines))
    for split in ("train", "val", "test"):
        order = np.array([number for number, name in enumerate(SPLITS) if name == split])
        write_h5(raw / f"{split}_order.h5", "order", order)
    labels = np.zeros((len(ROWS), NUM_SEGMENTS, len(CATEGORIES) + 1), np.float32)
    for number, (_, category) in enumerate(ROWS):
        labels[number, :, category] = events_of(number)
        labels[number, :, -1] = ~events_of(number)
    write_h5(raw / "right_labels.h5", "avadataset", labels)
    mil = np.eye(len(CATEGORIES) + 1, dtype=np.float32)[[category for _, category in ROWS]]
    write_h5(raw / "mil_labels.h5", "avadataset", mil)
    features = [features_of(video_id) for video_id, _ in ROWS]
    for number, modality in enumerate(("visual", "audio")):
        values = np.stack([pair[number] for pair in features]).astype(np.float64)
        write_h5(raw / f"{modality}_feature.h5", "avadataset", values)
        noise = np.random.default_rng(number).random((NUM_NOISY, *values.shape[1:]))
        write_h5(raw / f"{modality}_feature_noisy.h5", "avadataset", noise)
    background = np.zeros((NUM_NOISY, len(CATEGORIES) + 1), np.float32)
    background[:, -1] = 1
    write_h5(raw / "labels_noisy.h5", "avadataset", background)


def write_zip(path: Path, array: np.ndarray) -> None:
    """Write one pickled array as the authors of VGGSound-AVEL do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    pickle.dump(array, buffer)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}.pkl", buffer.getvalue())


def write_vggsound_avel(raw: Path) -> None:
    """Write VGGSound-AVEL's table, categories, labels and features: one zip with one pickled array per clip."""
    videos = dict(zip((video_id for video_id, _ in ROWS), range(len(ROWS)), strict=True))
    raw.mkdir(parents=True)
    lines = ["video_id,category,split"]
    for video_id in videos:
        number = next(number for number, row in enumerate(ROWS) if row[0] == video_id)
        lines.append(f'{video_id},"{CATEGORIES[ROWS[number][1]]}",{SPLITS[number]}')
        maps, sound = features_of(video_id)
        write_zip(raw / "labels" / f"{video_id}.zip", events_of(number).astype(np.int64)[None])
        write_zip(raw / "features" / "visual" / f"{video_id}.zip", np.moveaxis(maps, 3, 1))
        write_zip(raw / "features" / "audio" / f"{video_id}.zip", sound[: 9 if number == 2 else 10])
    (raw / "tiny.csv").write_text("\n".join(lines) + "\n")
    (raw / "TinyCategories.txt").write_text("\n".join(sorted(CATEGORIES)) + "\n")


SHORT = {
    "features.source": "released",
    "train.cpsp.full.num_epochs": 6,
    "train.cpsp.full.milestones": [4],
    "evaluate.num_resamples": 200,
    "report.num_clips": 2,
    "extract.shard_size": 16,
}


@pytest.fixture(scope="module")
def ave(make_workspace: Callable) -> object:
    workspace = make_workspace()
    write_ave(workspace.path / "data/small_ave/raw")
    workspace.set_params(**SHORT, **{"dataset.name": "small_ave", "dataset.format": "ave"})
    workspace.output = workspace.run("dvc", "repro").stderr
    return workspace


def test_the_released_files_of_ave_lead_to_the_report(ave) -> None:
    metrics = json.loads((ave.path / "results/evaluate/metrics.json").read_text())
    assert metrics["num_clips"] == metrics["num_clips_expected"] == SPLITS.count("test")
    assert metrics["segment_accuracy"] > metrics["background_share"] + 10, "nothing was learnt from the features"
    page = (ave.path / "results/report/index.html").read_text()
    assert "features <b>released</b>" in page
    assert "Random network weights" not in page
    prepared = json.loads((ave.path / "data/small_ave/prepared/audit.json").read_text())
    assert prepared["num_background_clips"] == NUM_NOISY
    audit = ave.run("python", "-m", "pipeline", "audit").stdout
    assert "Released: visual_feature.h5 (45, 10, 7, 7, 6) float64" in audit
    assert "1 of 1 pairs of rows of one video agree" in audit
    assert f"Clips with both: train 27 of 27, val 9 of 9, test 9 of 9, background {NUM_NOISY} of {NUM_NOISY}" in audit


def test_clips_of_background_alone_join_weak_training(ave) -> None:
    done = ave.run(
        *(
            "dvc",
            "exp",
            "run",
            "--set-param",
            "train.supervision=weak",
            "--set-param",
            "train.weak.background_clips=true",
        ),
        *("--set-param", "train.cpsp.weak.num_epochs=1", "--set-param", "train.cpsp.weak.milestones=[]"),
        "train",
    )
    assert f"background: {NUM_NOISY} of {NUM_NOISY} clips have features" in done.stderr + done.stdout


def test_a_split_without_leaks_drops_the_training_rows_of_a_tested_video(ave) -> None:
    done = ave.run("dvc", "exp", "run", "--set-param", "dataset.split=leak_free", "prepare", "train")
    assert "train" in done.stdout
    audit = json.loads((ave.path / "data/small_ave/prepared/audit.json").read_text())
    assert audit["splits"]["train"]["num_clips"] == SPLITS.count("train") - 1
    assert audit["leaks_left_out"]["count"] == 1
    assert audit["videos_in_two_splits"]["train/test"]["count"] == 0


def test_a_shuffled_feature_file_stops_the_run_and_names_a_row(ave) -> None:
    path = ave.path / "data/small_ave/raw/audio_feature.h5"
    content = path.read_bytes()
    with h5py.File(path, "r+") as file:
        file["avadataset"][:] = np.random.default_rng(0).permutation(file["avadataset"][:])
    done = ave.run("dvc", "repro", check=False)
    path.write_bytes(content)
    assert done.returncode != 0
    assert "audio_feature.h5" in done.stderr + done.stdout
    assert "rows 1 and 43" in done.stderr + done.stdout


def test_the_released_files_of_vggsound_avel_lead_to_the_report(make_workspace: Callable) -> None:
    workspace = make_workspace()
    write_vggsound_avel(workspace.path / "data/small_avel/raw")
    workspace.set_params(**SHORT, **{"dataset.name": "small_avel", "dataset.format": "vggsound_avel"})
    workspace.run("dvc", "repro")
    metrics = json.loads((workspace.path / "results/evaluate/metrics.json").read_text())
    assert metrics["num_clips"] == metrics["num_clips_expected"] > 0
    assert metrics["segment_accuracy"] > metrics["background_share"] + 10, "nothing was learnt from the features"
    categories = (workspace.path / "data/small_avel/prepared/categories.txt").read_text().splitlines()
    assert categories == sorted(CATEGORIES)
    ledger = (workspace.path / "data/small_avel/features/audio/ledger.csv").read_text()
    assert "video02,partial,short,1111111110" in ledger
