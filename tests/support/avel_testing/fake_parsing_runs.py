"""A small finished run of parsing on disk: everything the report reads, with clips rendered on the spot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from avel_testing.fake_runs import NUM_SEGMENTS, FakeRun, make_audit, write_clip, write_features, write_history
from pipeline.core.files import write_csv, write_json
from pipeline.params.schema import ParsingParams
from pipeline.report.parsing.inputs import SCORES
from pipeline.report.parsing.run import gate_of
from pipeline.store.manifest import BACKGROUND, VideoFile
from pipeline.store.maps import save_maps
from pipeline.store.parsing_manifest import MODALITIES, ParsedClip, ParsingManifest

PRESET = Path(__file__).parents[3] / "data" / "synthetic_parsing" / "preset.yaml"
NOWHERE = "0" * NUM_SEGMENTS


@dataclass(frozen=True)
class FakeLane:
    """Where a category is in one modality, where it is predicted, and where its probability alone is enough."""

    modality: str
    other: bool
    truth: str
    predicted: str
    probable: str


CLIPS = (
    (FakeLane("audio", False, "0110", "0110", "0110"), FakeLane("visual", False, "0110", "0110", "0110")),
    (FakeLane("visual", False, "0110", "0110", "0110"), FakeLane("audio", True, "1100", "0000", "1100")),
    (FakeLane("audio", False, "0110", "0111", "0111"), FakeLane("visual", False, "0000", "0110", "0110")),
    (FakeLane("visual", True, "0000", "0000", "0000"),),
    (FakeLane("audio", False, "1110", "0000", "0000"), FakeLane("visual", True, "0000", "0001", "0001")),
)
"""One after the other: all right; one that the gate closes; a boundary, and seen where it is heard alone; nothing; one
that is missed, and another that is false. Clip n is of the category n and, where a lane is of another, of the next."""


def make_parsing_params(
    *, method: str = "mmil_cpsp", gate: str = "authors", **sections: Mapping[str, Any]
) -> ParsingParams:
    """Return the embedded data set's params, of clips as short as these, with some values of sections replaced."""
    content = YAML(typ="safe", pure=True).load(PRESET)
    changes = {"dataset": {"num_segments": NUM_SEGMENTS}, "train": {"method": method}, "evaluate": {"gate": gate}}
    for name, values in [*changes.items(), *sections.items()]:
        content[name] |= values
    return ParsingParams.model_validate(content)


def make_fake_parsing_run(
    root: Path,
    categories: tuple[str, ...] = ("bell", "dog", "rain"),
    *,
    num_test_clips: int = 5,
    num_val_clips: int = 2,
    clip_prefix: str = "clip",
    video_prefix: str = "video",
    has_media: bool = True,
    method: str = "mmil_cpsp",
    gate: str = "authors",
    **sections: Mapping[str, Any],
) -> FakeRun:
    """Write all files; the clips of a split are :data:`CLIPS`, one after the other.

    One test clip more than `num_test_clips` is in the manifest: its file is missing and it is not scored. Clips of the
    validation split are of the same videos as the test clips. `sections` replace values of params.
    """
    params = make_parsing_params(method=method, gate=gate, **sections)
    clips = [_clip(number, categories, clip_prefix, video_prefix) for number in range(num_test_clips + 1)]
    for clip in clips[:2] if has_media else []:
        write_clip(root / "raw" / clip.path)
    videos = tuple(VideoFile(clip.video_id, clip.path, 1, "00") for clip in clips)
    val_clips = [
        replace(clip, clip_id=f"{clip_prefix}-val{n}", split="val") for n, clip in enumerate(clips[:num_val_clips])
    ]
    ParsingManifest((*clips, *val_clips), videos, categories).save(root / "prepared")
    write_json(root / "prepared" / "audit.json", make_audit(clips))
    for modality in MODALITIES:
        weights = getattr(params, modality).weights
        recipe = {"backbone": f"net-of-{modality}", "weights": "random:1" if weights == "random" else weights}
        if modality == "visual" and params.visual.motion is not None:
            recipe["motion"] = {"backbone": "net-of-motion", "layer": "last", "weights": params.visual.motion.weights}
        write_features(root / "features" / modality, modality, videos, recipe)
    write_history(root / "train" / "history.csv")
    scored = {"test": clips[:-1], "val": val_clips}
    _write_scores(root / "evaluate", scored, categories, params)
    return FakeRun(root, params)


def _clip(number: int, categories: Sequence[str], clip_prefix: str, video_prefix: str) -> ParsedClip:
    events: dict[str, dict[str, str]] = {modality: {} for modality in MODALITIES}
    for lane in CLIPS[number % len(CLIPS)]:
        if lane.truth != NOWHERE:
            events[lane.modality][_category(number, lane, categories)] = lane.truth
    there = {name for of_modality in events.values() for name in of_modality}
    tags = there if number % len(CLIPS) != 2 else {categories[(number + 1) % len(categories)]}
    return ParsedClip(
        clip_id=f"{clip_prefix}{number}",
        video_id=f"{video_prefix}{number}",
        path=f"videos/video{number}.mp4",
        tags=tuple(name for name in categories if name in tags),
        audio_events=events["audio"],
        visual_events=events["visual"],
        split="test",
    )


def _category(number: int, lane: FakeLane, categories: Sequence[str]) -> str:
    return categories[(number + lane.other) % len(categories)]


def _write_scores(
    folder: Path, scored: Mapping[str, Sequence[ParsedClip]], categories: tuple[str, ...], params: ParsingParams
) -> None:
    _write_predictions(folder / "predictions_val.csv", scored["val"], categories)
    rows = _write_predictions(folder / "predictions.csv", scored["test"], categories)
    counts = {pair: 0 for name in categories for pair in ((name, name), (name, BACKGROUND), (BACKGROUND, name))}
    for row in rows:
        if (pair := (row["truth"], row["prediction"])) in counts:
            counts[pair] += 1
    write_csv(
        folder / "confusion.csv",
        ("truth", "prediction", "count"),
        ({"truth": truth, "prediction": said, "count": count} for (truth, said), count in counts.items()),
    )
    write_csv(
        folder / "per_class.csv",
        ("category", "num_clips", "audio", "visual", "audio_visual"),
        (
            {
                "category": name,
                "num_clips": sum(name in (clip.audio_events | clip.visual_events) for clip in scored["test"]),
                "audio": 75.5,
                "visual": 50.5,
                "audio_visual": "" if name == categories[-1] else 25.5,
            }
            for name in categories
        ),
    )
    write_json(folder / "metrics.json", make_metrics(len(scored["test"]), gate_of(params)))
    save_maps(
        folder / "maps.safetensors",
        {split: _maps(len(of_split), categories) for split, of_split in scored.items() if of_split},
    )


def make_metrics(num_clips: int, gate: str) -> dict[str, float]:
    """Return scores that differ from one another: 60 on, their micro averages 40 on, with the other gate 20 on."""
    other = "own" if gate == "global" else "global"
    metrics: dict[str, float] = {}
    for place, score in enumerate(SCORES):
        metrics |= {score: 60.0 + place, f"{score}_low": 50.0 + place, f"{score}_high": 70.0 + place}
        metrics |= {f"micro_{score}": 40.0 + place, f"{other}_gate_{score}": 20.0 + place}
    return {
        **metrics,
        "everything_segment_type_at_av": 14.5,
        "everything_event_type_at_av": 11.5,
        "nothing_segment_type_at_av": 9.5,
        "nothing_event_type_at_av": 8.5,
        "num_clips": num_clips,
        "num_clips_expected": num_clips + 1,
        "masked_segment_share": 6.25,
        "best_epoch": 3,
        "test_selected_segment_type_at_av": 85.25,
        "test_selected_epoch": 4,
    }


def _write_predictions(path: Path, clips: Sequence[ParsedClip], categories: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for number, clip in enumerate(clips):
        for lane in CLIPS[number % len(CLIPS)]:
            category = _category(number, lane, categories)
            for segment, (true, said, is_probable) in enumerate(
                zip(lane.truth, lane.predicted, lane.probable, strict=True)
            ):
                rows.append(
                    {
                        "clip_id": clip.clip_id,
                        "modality": lane.modality,
                        "category": category,
                        "segment": segment,
                        "truth": category if true == "1" else BACKGROUND,
                        "prediction": category if said == "1" else BACKGROUND,
                        "probability": 0.9 if is_probable == "1" else 0.1,
                    }
                )
    columns = ("clip_id", "modality", "category", "segment", "truth", "prediction", "probability")
    write_csv(path, columns, rows)
    return rows


def _maps(num_clips: int, categories: Sequence[str]) -> dict[str, np.ndarray]:
    """Return maps that the predictions follow from, by either gate."""
    segments = np.full((num_clips, NUM_SEGMENTS, len(MODALITIES), len(categories)), 0.1, np.float16)
    clips = np.full((num_clips, len(MODALITIES) + 1, len(categories)), 0.2, np.float16)
    for number in range(num_clips):
        for lane in CLIPS[number % len(CLIPS)]:
            modality, category = MODALITIES.index(lane.modality), categories.index(_category(number, lane, categories))
            segments[number, [mark == "1" for mark in lane.probable], modality, category] = 0.9
            if "1" in lane.predicted:
                clips[number, [modality, len(MODALITIES)], category] = 0.8
    return {"probabilities": segments, "clip_probabilities": clips}
