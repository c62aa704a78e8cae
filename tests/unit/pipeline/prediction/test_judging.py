"""Whole videos through a model whose answers can be worked out: an event where the second is odd and sounds."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.core.errors import MediaError
from pipeline.core.files import sha256_of_file
from pipeline.evaluation.stage import evaluate_run
from pipeline.extraction.stage import extract
from pipeline.features.audio.extractor import AudioExtractor
from pipeline.features.visual.extractor import VisualExtractor
from pipeline.prediction.judging import predict_video
from pipeline.prediction.network import WeightFiles, load_model
from pipeline.store.manifest import Clip, Manifest, VideoFile
from pipeline.training.checkpoints import SELECTIONS, build_network, new_checkpoint, save_checkpoint
from pipeline.training.dataset import load_dataset

CPU = torch.device("cpu")


def write_uncompressed(media: SimpleNamespace, path: Path, **settings: object) -> Path:
    """Write a video whose sound is not compressed, so that it ends where it is said to."""
    return media.write(path.with_suffix(".mkv"), audio_codec="pcm_s16le", **settings)


@pytest.mark.usefixtures("decode_in_test")
@pytest.mark.parametrize("block_bytes", [1, 1 << 29])
@pytest.mark.parametrize("sampling", ["time", "frames"])
def test_windows_of_a_long_video_are_joined(
    sampling: str,
    block_bytes: int,
    make_model: Callable,
    media: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.prediction.judging.BLOCK_BYTES", block_bytes)
    video = media.write(tmp_path / "long.mp4", num_frames=225, audio_seconds=9.0)
    reported: list[tuple[int, int]] = []
    prediction = predict_video(make_model(sampling=sampling), video, lambda *progress: reported.append(progress))
    # Windows start at seconds 0, 4 and 5; segments 5 and 6 are taken from the second, 7 and 8 from the third.
    said = [segment.prediction for segment in prediction.segments]
    assert said == [
        *("background", "bell", "background", "bell"),
        *("background", "bell", "background"),
        *("siren", "background"),
    ]
    assert [segment.category for segment in prediction.segments] == ["bell"] * 7 + ["siren"] * 2
    assert prediction.duration_seconds == pytest.approx(9.0)
    assert prediction.attention.argmax(axis=1).tolist() == [second % 4 for second in range(9)]
    assert reported[-1] == (3, 3)
    assert prediction.warnings == ()


@pytest.mark.usefixtures("decode_in_test")
def test_segments_carry_times_relevance_and_probability(
    make_model: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    video = media.write(tmp_path / "clip.mp4", num_frames=100, audio_seconds=4.0)
    segments = predict_video(make_model(), video).segments
    assert [(segment.start_seconds, segment.end_seconds) for segment in segments] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    event = 1 / (1 + np.exp(-2.0))
    assert [segment.relevance for segment in segments] == pytest.approx([1 - event, event, 1 - event, event])
    assert segments[0].category_probability == pytest.approx(np.exp(3) / (np.exp(3) + 1))
    assert {segment.missing for segment in segments} == {()}


@pytest.mark.usefixtures("decode_in_test")
@pytest.mark.parametrize("block_bytes", [1, 1 << 29])
def test_segments_without_sound_are_background_and_counted(
    block_bytes: int, make_model: Callable, media: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.prediction.judging.BLOCK_BYTES", block_bytes)
    video = write_uncompressed(media, tmp_path / "quiet", num_frames=300, audio_seconds=5.4)
    prediction = predict_video(make_model(), video)
    segments = prediction.segments
    assert [segment.prediction == "background" for segment in segments[:5]] == [True, False, True, False, True]
    assert [segment.missing for segment in segments] == [()] * 5 + [("audio",)] * 7
    assert {segment.prediction for segment in segments[5:]} == {"background"}
    assert [segment.relevance is None for segment in segments] == [False] * 8 + [True] * 4
    assert not prediction.attention[8:].any()
    assert prediction.warnings == ("7 of 12 segments lack picture or sound and are background",)


@pytest.mark.usefixtures("decode_in_test")
def test_the_answers_about_a_window_stay_with_it_where_one_before_is_not_judged(
    make_model: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    video = write_uncompressed(media, tmp_path / "late", num_frames=300, audio_delay=4.0, audio_seconds=8.0)
    prediction = predict_video(make_model(), video)
    assert [segment.relevance is None for segment in prediction.segments] == [True] * 4 + [False] * 8
    assert prediction.is_event == (*[False] * 4, *[False, True] * 4)
    assert not prediction.attention[:4].any()
    assert prediction.attention[4:].argmax(axis=1).tolist() == [second % 4 for second in range(4, 12)]


@pytest.mark.usefixtures("decode_in_test")
def test_a_video_shorter_than_a_window_has_its_own_segments_only(
    make_model: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    video = write_uncompressed(media, tmp_path / "short", num_frames=60, audio_seconds=2.4)
    assert len(predict_video(make_model(), video).segments) == 2
    video = write_uncompressed(media, tmp_path / "longer", num_frames=63, audio_seconds=2.52)
    assert len(predict_video(make_model(), video).segments) == 3


@pytest.mark.usefixtures("decode_in_test")
def test_frames_by_number_that_are_far_from_their_segment_are_warned_of(
    make_model: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    video = write_uncompressed(media, tmp_path / "short", num_frames=50, audio_seconds=4.0)
    prediction = predict_video(make_model(sampling="frames"), video)
    assert len(prediction.segments) == 4, "the sound lasts, and the rule spreads two seconds of frames over all of it"
    assert any("up to 0.5 s from their segment" in warning for warning in prediction.warnings)
    assert not any("number" in warning for warning in predict_video(make_model(), video).warnings)


@pytest.mark.usefixtures("decode_in_test")
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"audio_seconds": None}, "no_audio_stream"),
        ({"num_frames": None}, "no_video_stream"),
        ({"num_frames": 300, "audio_seconds": 0.2}, "gap"),
        ({"audio_seconds": 0.2}, "too_short"),
    ],
)
def test_a_video_without_one_of_both_has_no_event_to_find(
    settings: dict, reason: str, make_model: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    video = media.write(tmp_path / "half.mkv", **{"num_frames": 100, "audio_codec": "pcm_s16le", **settings})
    with pytest.raises(MediaError, match=r"^half\.mkv: ") as raised:
        predict_video(make_model(), video)
    assert raised.value.reason == reason


def test_files_that_are_no_videos_are_refused_by_a_process_of_their_own(make_model: Callable, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    for name, reason in (
        ("text.mp4", "not_media"),
        ("empty.mp4", "empty_file"),
        ("none.mp4", "missing"),
        (".", "unreadable"),
        (f"{'n' * 300}.mp4", "unreadable"),
    ):
        with pytest.raises(MediaError) as raised:
            predict_video(make_model(), tmp_path / name)
        assert raised.value.reason == reason


@pytest.mark.usefixtures("decode_in_test")
@pytest.mark.parametrize(
    ("method", "sampling", "seed"),
    [("psp_cpsp", "frames", 4), ("psp_cpsp", "time", 4), ("ave_att", "frames", 4), ("cmbs", "frames", 4)],
)
def test_a_clip_of_a_data_set_gets_the_prediction_that_evaluation_gave_it(
    method: str,
    sampling: str,
    seed: int,
    make_params: Callable,
    media: SimpleNamespace,
    small_networks: None,
    tmp_path: Path,
) -> None:
    params = make_params(
        **{
            "dataset.num_segments": 3,
            "dataset.min_coverage": 0.0,
            "visual.sampling": sampling,
            "extract.num_workers": 1,
            "train.method": method,
        }
    )
    raw = tmp_path / "raw"
    write_uncompressed(media, raw / "whole", num_frames=75, audio_seconds=3.0)
    write_uncompressed(media, raw / "short", num_frames=64, audio_seconds=1.7)
    names = ("whole", "short")
    videos = tuple(
        VideoFile(name, path.name, path.stat().st_size, sha256_of_file(path))
        for name in names
        if (path := raw / f"{name}.mkv")
    )
    clips = tuple(Clip(video.video_id, video.video_id, video.path, "bell", "010", "test") for video in videos)
    Manifest(clips, videos, ("bell", "siren")).save(tmp_path / "prepared")
    for modality, extractor, section in (
        ("visual", VisualExtractor, params.visual),
        ("audio", AudioExtractor, params.audio),
    ):
        extract(
            lambda device, extractor=extractor, section=section: extractor(section, params.dataset, device),
            videos,
            raw,
            tmp_path / "features" / modality,
            params=params.extract,
            max_failed_fraction=0.0,
        )
    dataset = load_dataset(params, tmp_path / "prepared", tmp_path / "features")
    torch.manual_seed(seed)
    checkpoint = new_checkpoint(params.train, dataset)
    for file in SELECTIONS.values():
        save_checkpoint(tmp_path / "train" / file, checkpoint, build_network(checkpoint).state_dict())
    evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "evaluate", CPU)
    with (tmp_path / "evaluate/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))

    model = load_model(tmp_path / "train", WeightFiles(), CPU)
    predicted = {
        name: [(str(n), s.prediction, s.relevance) for n, s in enumerate(predict_video(model, path).segments)]
        for name in names
        if (path := raw / f"{name}.mkv")
    }
    assert {prediction for row in predicted.values() for _, prediction, _ in row} > {"background"}, "nothing to compare"
    for name in names:
        expected = [
            (row["segment"], row["prediction"], float(row["relevance"])) for row in rows if row["clip_id"] == name
        ]
        assert len(predicted[name]) == 3
        for (_, said, relevance), (_, scored, scored_relevance) in zip(predicted[name], expected, strict=True):
            assert said == scored
            assert relevance == pytest.approx(scored_relevance, abs=2e-6), "the table has six digits"
