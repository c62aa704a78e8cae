"""A small finished run on disk: everything the report reads, with clips rendered on the spot."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.core.files import write_csv, write_json
from pipeline.params.schema import Params, load_params
from pipeline.report.build import build_report
from pipeline.report.localization.cards import CARDS
from pipeline.report.localization.run import MATRICES
from pipeline.store.manifest import BACKGROUND, Clip, Manifest, VideoFile
from pipeline.store.maps import save_maps
from pipeline.store.shards import LedgerRow, ShardIndex, save_ledger

NUM_SEGMENTS = 4
FRAME_RATE = 10
SAMPLE_RATE_HZ = 16000


def write_clip(path: Path, num_seconds: float = NUM_SEGMENTS, *, has_audio: bool = True) -> Path:
    """Write a clip that gets brighter by one step per second and hums, each second at its own pitch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=FRAME_RATE)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        if has_audio:
            audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        for number in range(round(num_seconds * FRAME_RATE)):
            image = np.full((48, 64, 3), 40 + 50 * (number // FRAME_RATE), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        if has_audio:
            seconds = np.arange(round(num_seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
            wave = 0.3 * np.sin(2 * np.pi * 400 * (1 + np.floor(seconds)) * seconds)
            frame = av.AudioFrame.from_ndarray(wave[np.newaxis].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE_HZ, Fraction(1, SAMPLE_RATE_HZ), 0
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


@dataclass
class FakeRun:
    """The paths of a finished run under `root`."""

    root: Path
    params: Params

    @property
    def folders(self) -> dict[str, Path]:
        return {name: self.root / name for name in ("prepared", "features", "train", "evaluate", "raw")}

    def build(self, output: str = "report") -> str:
        path = build_report(params=self.params, **self.folders, output=self.root / output)
        return path.read_text(encoding="utf-8")


def make_fake_run(
    root: Path,
    categories: tuple[str, ...] = ("bell", "dog"),
    *,
    num_test_clips: int = 3,
    num_val_clips: int = 2,
    num_detailed: int | None = None,
    num_positions: int = 49,
    propagates: bool = True,
    supervision: str = "full",
    clip_prefix: str = "clip",
    video_prefix: str = "video",
    weights: str = "random",
    dataset_format: str = "synthetic",
    source: str = "extracted",
    has_media: bool = True,
    offsets: Sequence[str] = (),
) -> FakeRun:
    """Write all files; the first clip of a split is right, the others miss an event segment.

    One test clip more than `num_test_clips` is in the manifest: its file is missing and it is not scored. Clips of the
    validation split are of the same videos as the test clips. `offsets` are the sampling offsets of the first videos.
    Of `num_positions` that are looked at, the first has most attention; with `propagates` there are matrices too.
    """
    base = load_params(Path(__file__).parents[3] / "data" / "synthetic" / "preset.yaml")
    params = base.model_copy(
        update={
            "dataset": base.dataset.model_copy(update={"num_segments": NUM_SEGMENTS, "format": dataset_format}),
            "features": base.features.model_copy(update={"source": source}),
            "visual": base.visual.model_copy(update={"weights": weights}),
            "audio": base.audio.model_copy(update={"weights": weights}),
            "train": base.train.model_copy(update={"supervision": supervision}),
            "report": base.report.model_copy(update={} if num_detailed is None else {"num_clips": num_detailed}),
        }
    )
    clips = [
        Clip(
            clip_id=f"{clip_prefix}{n}",
            video_id=f"{video_prefix}{n}",
            path=f"videos/video{n}.mp4",
            category=categories[n % len(categories)],
            events="0110",
            split="test",
        )
        for n in range(num_test_clips + 1)
    ]
    for clip in clips[:2] if has_media else []:
        write_clip(root / "raw" / clip.path)
    videos = tuple(VideoFile(clip.video_id, clip.path, 1, "00") for clip in clips)
    val_clips = [
        replace(clip, clip_id=f"{clip_prefix}-val{n}", split="val") for n, clip in enumerate(clips[:num_val_clips])
    ]
    Manifest((*clips, *val_clips), videos, categories).save(root / "prepared")
    write_json(root / "prepared" / "audit.json", _audit(clips))
    for modality in ("visual", "audio"):
        recipe = {"backbone": f"net-of-{modality}", "weights": "random:1" if weights == "random" else weights}
        if source == "released":
            recipe = {"source": "released"}
        _write_features(root / "features" / modality, modality, videos, recipe, offsets)
    _write_history(root / "train" / "history.csv")
    scored = {"test": clips[:-1], "val": val_clips}
    _write_scores(root / "evaluate", scored, categories)
    save_maps(
        root / "evaluate" / "maps.safetensors",
        {split: _maps(len(of_split), num_positions, propagates) for split, of_split in scored.items() if of_split},
    )
    return FakeRun(root, params)


def _audit(clips: list[Clip]) -> dict[str, Any]:
    split = {"num_clips": len(clips), "num_videos": len(clips), "background_share": 0.5}
    return {
        "dataset": "synthetic",
        "num_clips": len(clips),
        "num_bytes": 2_500_000,
        "background_share": 0.5,
        "splits": {"test": split},
        "missing_videos": {"count": 1, "items": [clips[-1].video_id]},
        "empty_videos": {"count": 0, "items": []},
        "videos_in_two_splits": {"train/test": {"count": 12, "items": [f"twice{n}" for n in range(12)]}},
    }


def _write_features(
    folder: Path, modality: str, videos: tuple[VideoFile, ...], recipe: dict[str, str], offsets: Sequence[str]
) -> None:
    rows = [LedgerRow(video.video_id, "ok", "ok", "1111", "4.00", "") for video in videos]
    rows[-1] = LedgerRow(videos[-1].video_id, "failed", "missing", "0000", "", "no such file")
    if modality == "audio":
        rows[1] = replace(rows[1], status="partial", reason="short", valid="1110")
    else:
        rows[: len(offsets)] = [replace(row, sampling_offset=o) for row, o in zip(rows, offsets, strict=False)]
    folder.mkdir(parents=True)
    save_ledger(folder / "ledger.csv", rows)
    ShardIndex(modality, recipe, "ab" * 32, len(videos) - 1, ()).save(folder)


def _write_history(path: Path) -> None:
    rows = [
        {
            "epoch": epoch,
            "learning_rate": 0.001,
            "train_loss": 2 / epoch,
            "train_avpsp": 1 / epoch,
            "gradient_norm": "" if epoch == 2 else 0.5,
            "validation_score": accuracy,
            "test_score": accuracy - 1,
        }
        for epoch, accuracy in enumerate((40.0, 60.0, 75.0, 70.0), start=1)
    ]
    write_csv(path, list(rows[0]), rows)


def _maps(num_clips: int, num_positions: int, propagates: bool) -> dict[str, np.ndarray]:
    attention = np.full((num_clips, NUM_SEGMENTS, num_positions), 0.5 / max(1, num_positions - 1), np.float16)
    attention[..., 0] = 0.5
    matrices = np.zeros((num_clips, NUM_SEGMENTS, NUM_SEGMENTS), np.float16)
    matrices[:, 1, 2] = 0.75
    return {"attention": attention, **(dict.fromkeys(MATRICES, matrices) if propagates else {})}


def _write_scores(folder: Path, scored: dict[str, list[Clip]], categories: tuple[str, ...]) -> None:
    names = (*categories, BACKGROUND)
    _write_predictions(folder / "predictions_val.csv", scored["val"])
    clips = scored["test"]
    predictions = _write_predictions(folder / "predictions.csv", clips)
    counts: dict[tuple[str, str], int] = {(truth, said): 0 for truth in names for said in names}
    for row in predictions:
        counts[row["truth"], row["prediction"]] += 1
    write_csv(
        folder / "confusion.csv",
        ("truth", "prediction", "count"),
        ({"truth": truth, "prediction": said, "count": count} for (truth, said), count in counts.items()),
    )
    write_csv(
        folder / "per_class.csv",
        ("category", "num_clips", "num_event_segments", "segment_accuracy", "category_accuracy"),
        (
            {
                "category": name,
                "num_clips": "" if name == BACKGROUND else 1,
                "num_event_segments": 2,
                "segment_accuracy": 50.0,
                "category_accuracy": "" if name == BACKGROUND else 100.0,
            }
            for name in names
        ),
    )
    write_json(
        folder / "metrics.json",
        {
            **dict.fromkeys(CARDS, 75.0),
            "segment_accuracy": 83.3333,
            "segment_accuracy_low": 70.0,
            "segment_accuracy_high": 95.0,
            "category_accuracy": 90.0,
            "event_f1": 66.6667,
            "background_share": 50.0,
            "num_clips": len(clips),
            "num_clips_expected": len(clips) + 1,
            "masked_segment_share": 8.3333,
            "test_selected_segment_accuracy": 85.0,
            "best_epoch": 3,
            "test_selected_epoch": 4,
        },
    )


def _write_predictions(path: Path, clips: list[Clip]) -> list[dict[str, Any]]:
    rows = []
    for number, clip in enumerate(clips):
        for segment, event in enumerate(clip.events):
            truth = clip.category if event == "1" else BACKGROUND
            said = BACKGROUND if number and segment == 2 else truth
            relevance = 0.9 if said != BACKGROUND else 0.1
            rows.append(
                {
                    "clip_id": clip.clip_id,
                    "segment": segment,
                    "truth": truth,
                    "prediction": said,
                    "relevance": relevance,
                }
            )
    write_csv(path, ("clip_id", "segment", "truth", "prediction", "relevance"), rows)
    return rows
