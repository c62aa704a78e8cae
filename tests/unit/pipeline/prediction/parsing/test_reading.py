"""Whole videos through a model whose answers can be worked out: a bell is seen at odd seconds, a siren heard."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline.core.errors import MediaError, ParamsError, TrainingError
from pipeline.core.files import sha256_of_file
from pipeline.evaluation.stage import evaluate_run
from pipeline.extraction.stage import extract
from pipeline.features.audio.extractor import AudioExtractor
from pipeline.features.recipes import VisualLayout
from pipeline.features.visual.extractor import visual_extractor
from pipeline.methods.registry import METHODS
from pipeline.prediction.judging import predict_video
from pipeline.prediction.localization.reading import LocalizationReading
from pipeline.prediction.network import WeightFiles, load_model
from pipeline.prediction.parsing.events import ParsedVideo
from pipeline.prediction.parsing.reading import ParsingReading
from pipeline.store.manifest import VideoFile
from pipeline.store.parsing_manifest import ParsedClip, ParsingManifest
from pipeline.training.checkpoints import SELECTIONS, build_network, new_checkpoint, save_checkpoint
from pipeline.training.dataset import load_dataset

CPU = torch.device("cpu")


def write_uncompressed(media: SimpleNamespace, path: Path, **settings: object) -> Path:
    """Write a video whose sound is not compressed, so that it ends where it is said to."""
    return media.write(path.with_suffix(".mkv"), audio_codec="pcm_s16le", **settings)


def letters(prediction: ParsedVideo) -> tuple[str, str]:
    """Return what is heard and what is seen, as a letter per segment."""
    names = {("bell",): "b", ("siren",): "s", (): "."}
    return tuple(  # type: ignore[return-value]
        "".join(
            "x" if modality in segment.missing else names[segment.sensed(modality)] for segment in prediction.segments
        )
        for modality in ("audio", "visual")
    )


@pytest.mark.usefixtures("decode_in_test")
@pytest.mark.parametrize("block_bytes", [1, 1 << 29])
@pytest.mark.parametrize(("gate", "heard"), [("own", "sssssssss"), ("global", "sssssss..")])
def test_windows_of_a_long_video_are_joined_and_gated_each_on_its_own(
    gate: str,
    heard: str,
    block_bytes: int,
    make_parser: Callable,
    media: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.prediction.judging.BLOCK_BYTES", block_bytes)
    video = media.write(tmp_path / "long.mp4", num_frames=225, audio_seconds=9.0)
    reported: list[tuple[int, int]] = []
    prediction = predict_video(make_parser(gate), video, lambda *progress: reported.append(progress))
    # Windows start at seconds 0, 4 and 5; segments 7 and 8 are taken from the third, in which no siren is probable.
    assert letters(prediction) == (heard, ".b.b.b.b.")
    assert [segment.heard_probabilities[1] for segment in prediction.segments] == pytest.approx(
        [0.9 - 0.01 * second for second in range(9)]
    )
    assert [segment.seen_probabilities[0] for segment in prediction.segments] == pytest.approx([0.2, 0.9] * 4 + [0.2])
    assert reported[-1] == (3, 3)
    assert prediction.duration_seconds == pytest.approx(9.0)
    assert prediction.warnings == ()


@pytest.mark.usefixtures("decode_in_test")
@pytest.mark.parametrize("block_bytes", [1, 1 << 29])
def test_a_segment_without_sound_is_still_seen(
    block_bytes: int, make_parser: Callable, media: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.prediction.judging.BLOCK_BYTES", block_bytes)
    video = write_uncompressed(media, tmp_path / "quiet", num_frames=300, audio_seconds=5.4)
    prediction = predict_video(make_parser(), video)
    assert letters(prediction) == ("sssssxxxxxxx", ".b.b.b.b.b.b")
    assert prediction.segments[8].heard_probabilities is None
    assert prediction.warnings == ("7 of 12 segments lack sound: nothing is heard there",)


@pytest.mark.usefixtures("decode_in_test")
def test_a_segment_without_pictures_is_still_heard(
    make_parser: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    times = [number / 25 for number in range(100)] + [8 + number / 25 for number in range(100)]
    video = write_uncompressed(media, tmp_path / "gap", num_frames=200, timestamps=times, audio_seconds=12.0)
    prediction = predict_video(make_parser(sampling="frames"), video)
    assert letters(prediction)[0] == "s" * 12
    assert letters(prediction)[1][4:8] == "xxxx"
    assert prediction.warnings == ("4 of 12 segments lack picture: nothing is seen there",)


@pytest.mark.usefixtures("decode_in_test")
@pytest.mark.parametrize("num_seconds", [3, 9])
@pytest.mark.parametrize("audio_seconds", [None, 0.2])
def test_a_video_without_sound_is_parsed_by_its_pictures(
    audio_seconds: float | None, num_seconds: int, make_parser: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    video = write_uncompressed(media, tmp_path / "mute", num_frames=25 * num_seconds, audio_seconds=audio_seconds)
    prediction = predict_video(make_parser(), video)
    assert letters(prediction) == ("x" * num_seconds, ".b.b.b.b."[:num_seconds])
    assert prediction.warnings == (
        "there is no sound: what is seen is judged without it, as no clip of the training was",
    )


@pytest.mark.usefixtures("decode_in_test")
@pytest.mark.parametrize(("name", "audio_codec"), [("sound.wav", "pcm_s16le"), ("sound.m4a", "aac")])
@pytest.mark.parametrize("num_seconds", [3, 9])
def test_a_file_of_sound_is_parsed_by_it_and_has_its_length(
    num_seconds: int, name: str, audio_codec: str, make_parser: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    sound = media.write(tmp_path / name, num_frames=None, audio_seconds=num_seconds, audio_codec=audio_codec)
    reported: list[tuple[int, int]] = []
    prediction = predict_video(make_parser(), sound, lambda *progress: reported.append(progress))
    assert letters(prediction) == ("s" * num_seconds, "x" * num_seconds)
    assert prediction.duration_seconds == pytest.approx(num_seconds, abs=0.1)
    assert prediction.warnings == (
        "there is no picture: what is heard is judged without it, as no clip of the training was",
    )
    assert reported[-1][0] == reported[-1][1]


@pytest.mark.usefixtures("decode_in_test")
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"num_frames": None, "audio_seconds": 0.2}, "too_short"),
        ({"num_frames": 1, "audio_seconds": None}, "too_short"),
        ({"audio_seconds": None}, "undecodable"),
    ],
)
def test_a_file_of_which_nothing_can_be_used_is_one_error(
    settings: dict, reason: str, make_parser: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    video = media.write(tmp_path / "half.mkv", audio_codec="pcm_s16le", **settings)
    if reason == "undecodable":
        video.write_bytes(video.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/ZZZ"))
    with pytest.raises(MediaError, match=r"^half\.mkv: ") as raised:
        predict_video(make_parser(sampling="frames"), video)
    assert raised.value.reason == reason


@pytest.mark.usefixtures("decode_in_test")
@pytest.mark.parametrize("name", ["unknown video codec", "unknown audio codec"])
def test_a_modality_that_is_damaged_is_not_taken_for_absent(
    name: str, make_parser: Callable, corpus: dict, tmp_path: Path
) -> None:
    entry = corpus[name]
    with pytest.raises(MediaError) as raised:
        predict_video(make_parser(), entry.write(tmp_path / entry.file_name))
    assert raised.value.reason == "undecodable"


def test_answers_that_are_no_numbers_are_refused(make_parser: Callable) -> None:
    answer = make_parser().network(torch.zeros(1, 2, 1, 1, 1), torch.ones(1, 2, 1))
    broken = replace(answer, global_probabilities=answer.global_probabilities * torch.nan)
    with pytest.raises(TrainingError, match="finite numbers"):
        ParsingReading("own").decide(broken, 2)


def test_the_gate_is_that_of_the_methods_authors_unless_another_is_chosen() -> None:
    gates = {name: ParsingReading.of(METHODS[name], "authors").gate for name in ("han", "mmil_psp", "mmil_cpsp")}
    assert gates == {"han": "global", "mmil_psp": "own", "mmil_cpsp": "own"}
    assert ParsingReading.of(METHODS["han"], "own").facts == {"gate": "own"}
    assert ParsingReading.of(METHODS["mmil_cpsp"], "global").gate == "global"
    with pytest.raises(ParamsError, match=r"--gate: expected none to be chosen, as CPSP localizes .* found own"):
        LocalizationReading.of(METHODS["cpsp"], "own")


@pytest.mark.parametrize(
    ("shape", "motion", "layout", "message"),
    [
        ([7, 7, 512], 0, VisualLayout((7, 7, 512), 0), ""),
        ([2048], 0, VisualLayout((2048,), 0), ""),
        ([8, 2048], 512, VisualLayout((8, 2048), 512), ""),
        ([8, 2048], 512, VisualLayout((8, 2048), 0), "features of shape (8, 2048) and 512 features of motion"),
        ([512], 0, VisualLayout((7, 7, 512), 0), "features of shape (512,)"),
    ],
)
def test_features_must_be_those_that_the_network_projects(
    shape: list[int], motion: int, layout: VisualLayout, message: str
) -> None:
    assert ParsingReading.unmet({"visual_shape": shape, "motion_features": motion}, layout) == message


@pytest.mark.usefixtures("decode_in_test", "small_networks")
@pytest.mark.parametrize(
    ("method", "sampling", "gate"),
    [("mmil_cpsp", "frames", "authors"), ("mmil_cpsp", "time", "authors"), ("han", "frames", "own")],
)
def test_a_clip_of_a_data_set_gets_the_prediction_that_evaluation_gave_it(
    method: str, sampling: str, gate: str, make_parsing_params: Callable, media: SimpleNamespace, tmp_path: Path
) -> None:
    params = make_parsing_params(
        **{
            "dataset.num_segments": 3,
            "dataset.min_coverage": 0.0,
            "visual.backbone": "vgg19",
            "visual.sampling": sampling,
            "extract.num_workers": 1,
            "train.method": method,
            "train.precision": "float64",
            "evaluate.gate": gate,
        }
    )
    raw = tmp_path / "raw"
    paths = {
        "whole": write_uncompressed(media, raw / "whole", num_frames=75, audio_seconds=3.0),
        "short": write_uncompressed(media, raw / "short", num_frames=64, audio_seconds=1.7),
    }
    videos = tuple(
        VideoFile(name, path.name, path.stat().st_size, sha256_of_file(path)) for name, path in paths.items()
    )
    categories = ("bell", "siren", "truck", "violin")
    clips = tuple(
        ParsedClip(video.video_id, video.video_id, video.path, ("bell",), {"bell": "010"}, {}, "test")
        for video in videos
    )
    ParsingManifest(clips, videos, categories).save(tmp_path / "prepared")
    for modality, build, section in (
        ("visual", visual_extractor, params.visual),
        ("audio", AudioExtractor, params.audio),
    ):
        extract(
            lambda device, build=build, section=section: build(section, params.dataset, device),
            videos,
            raw,
            tmp_path / "features" / modality,
            params=params.extract,
            max_failed_fraction=0.0,
        )
    dataset = load_dataset(params, tmp_path / "prepared", tmp_path / "features")
    torch.manual_seed(4)
    checkpoint = new_checkpoint(params.train, dataset)
    state = build_network(checkpoint).double().state_dict()
    state["pooling.probability.weight"] *= 30  # far from 0.5, which all random answers are close to
    for file in SELECTIONS.values():
        save_checkpoint(tmp_path / "train" / file, checkpoint, state)
    evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "evaluate", CPU)
    with (tmp_path / "evaluate/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))

    model = load_model(tmp_path / "train", WeightFiles(), CPU, gate)  # type: ignore[arg-type]
    predicted = {name: predict_video(model, path).segments for name, path in paths.items()}
    found = set()
    for row in rows:
        segment = predicted[row["clip_id"]][int(row["segment"])]
        category, modality = row["category"], row["modality"]
        is_there = category in segment.sensed(modality)
        assert is_there == (row["prediction"] == category)
        found.add((row["clip_id"], int(row["segment"]), modality, category) if is_there else None)
        if modality not in segment.missing:
            probability = segment.probabilities(modality)[categories.index(category)]
            assert probability == pytest.approx(float(row["probability"]), abs=2e-6), "the table has six digits"
    said = {
        (name, number, modality, category)
        for name, segments in predicted.items()
        for number, segment in enumerate(segments)
        for modality in ("audio", "visual")
        for category in segment.sensed(modality)
    }
    assert said == found - {None}
    assert {modality for _, _, modality, _ in said} == {"audio", "visual"}, "nothing to compare"
    assert {len(segments) for segments in predicted.values()} == {3}
