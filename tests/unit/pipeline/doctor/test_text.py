"""What people and programs are told."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.doctor.candidates import Candidate
from pipeline.doctor.comparison import Comparison, Match
from pipeline.doctor.diagnosis import diagnose
from pipeline.doctor.text import as_dict, conclusion, describe
from pipeline.features.audio.extractor import AudioExtractor
from pipeline.params.schema import load_params
from pipeline.store.shards import ShardRow, write_shard

REPOSITORY = Path(__file__).resolve().parents[4]
PARAMS = load_params(REPOSITORY / "data/synthetic/preset.yaml")
NORMAL = np.random.default_rng(0).normal(size=(4, 3, 128)).astype(np.float32)
LEVELS = np.random.default_rng(0).integers(0, 256, (4, 3, 128))
MAPS = np.maximum(np.random.default_rng(0).normal(size=(2, 1, 7, 7, 512)), 0).astype(np.float32)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            np.maximum(NORMAL, 0).astype(np.float64),
            "raw VGGish features after the final ReLU: no PCA, not quantised; computed in float32, stored as float64",
        ),
        (
            np.maximum(NORMAL, 0).astype(np.float64) / 3,
            "raw VGGish features after the final ReLU: no PCA, not quantised; computed in float64, stored as float64",
        ),
        (
            np.maximum(NORMAL, 0).astype(np.float16).astype(np.float32),
            "raw VGGish features after the final ReLU: no PCA, not quantised; rounded to float16, stored as float32",
        ),
        (
            LEVELS.astype(np.uint8),
            "VGGish features after PCA, quantised to 8 bits: whole numbers from 0 to 255; stored as uint8",
        ),
        (
            (LEVELS * (4 / 255) - 2).astype(np.float32),
            "VGGish features after PCA, quantised to 8 bits and mapped back: steps of 0.0156863 from -2 on; "
            "stored as float32",
        ),
        (
            NORMAL,
            "of the shape of VGGish features, some negative: before the final ReLU, after PCA without quantisation, "
            "or normalised; not quantised; stored as float32",
        ),
        (
            np.abs(NORMAL),
            "VGGish features, none negative and few zero: averages of what follows a ReLU; not quantised; "
            "stored as float32",
        ),
        (MAPS, "VGG19 block5_pool maps after the final ReLU: not quantised; stored as float32"),
        (NORMAL[..., :29], "segments of shape (29,), which no recipe makes; stored as float32"),
        ((NORMAL > 0) * 1.0, "no features: hardly any different values"),
        (np.full_like(NORMAL, np.nan), f"unusable: {NORMAL.size} values are NaN or infinite"),
    ],
)
def test_the_conclusion_says_what_the_values_are(rows, sentence, write_released):
    assert conclusion(diagnose(write_released(rows), PARAMS)) == sentence


FRAMES = np.maximum(np.random.default_rng(1).normal(1, 1, size=(80, 2048)), 0).astype(np.float32)
UNIT = FRAMES / np.linalg.norm(FRAMES, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("clip", "sentence", "layout"),
    [
        (
            FRAMES,
            "raw pooled ResNet vectors, none negative: averages of what follows a ReLU; not quantised",
            "one clip, as a file of LLP's `res152` is: (80, 2048)",
        ),
        (
            FRAMES[:10, :512] + 1,
            "raw pooled R(2+1)D vectors, none negative: averages of what follows a ReLU; not quantised",
            "one clip, as a file of LLP's `r2plus1d_18` is: (10, 512)",
        ),
        (
            np.maximum(FRAMES[:10, :128] - 1, 0),
            "raw VGGish features after the final ReLU: no PCA, not quantised",
            "one clip, as a file of LLP's `vggish` is: (10, 128)",
        ),
        (
            UNIT,
            "pooled ResNet vectors, none negative: averages of what follows a ReLU; not quantised, every vector of "
            "length 1: L2-normalised",
            "10 segments of 8 frames, a vector each",
        ),
        (
            (UNIT - UNIT.mean(axis=0)) / UNIT.std(axis=0),
            "of the shape of pooled ResNet vectors, some negative: before the final ReLU, projected, or normalised; "
            "not quantised",
            "10 segments of 8 frames, a vector each",
        ),
        (
            FRAMES[:10],
            "raw pooled ResNet vectors, none negative: averages of what follows a ReLU; not quantised",
            "values ",
        ),
        (
            np.concatenate([FRAMES.reshape(10, -1), FRAMES[:10, :512]], axis=1),
            "raw pooled ResNet vectors and pooled R(2+1)D vectors, none negative: averages of what follows a ReLU; "
            "not quantised",
            "a segment is 16384 features of appearance, of 8 frames, and then 512 of motion",
        ),
        (np.zeros((80, 2048), np.float32), "no features: hardly any different values", "`res152`"),
        (np.full((80, 2048), np.nan), "unusable: 163840 values are NaN or infinite", "`res152`"),
    ],
)
def test_vectors_of_a_clip_are_recognised_with_what_was_done_to_them(clip, sentence, layout, tmp_path):
    np.save(tmp_path / "BjCEufrlXm4.npy", clip)
    diagnosis = diagnose(tmp_path / "BjCEufrlXm4.npy", PARAMS)
    assert conclusion(diagnosis).partition("; stored as")[0] == sentence
    assert layout in describe(diagnosis, PARAMS)
    json.dumps(as_dict(diagnosis), allow_nan=False)


def test_a_shard_of_two_streams_names_both(tmp_path):
    recipe = {
        "backbone": "resnet152_pooled",
        "motion": {"backbone": "r2plus1d_18", "weights": "random:7", "layer": "x"},
    }
    row = ShardRow("x", "0" * 64, np.ones((10, 16896), np.float16), np.ones(10, bool))
    write_shard(tmp_path / "s.h5", [row], {"recipe": json.dumps(recipe)})
    text = describe(diagnose(tmp_path / "s.h5", PARAMS), PARAMS)
    assert "by their own account: backbone resnet152_pooled, motion r2plus1d_18 random:7." in text
    assert "motion is {'backbone': 'r2plus1d_18', 'weights': 'random:7', 'layer': 'x'} in the file and None" in text


def test_a_motion_stream_stands_in_the_lines_for_params(tmp_path, make_params):
    np.save(tmp_path / "a.npy", np.ones((10, 16896), np.float16))
    motion = {"backbone": "r2plus1d_18", "weights": "torchvision", "weights_sha256": None, "weights_seed": 18}
    line = "  motion: {backbone: r2plus1d_18, weights: torchvision, weights_sha256: null, weights_seed: 18}"
    with_motion, without = make_params(**{"visual.motion": motion}), make_params()

    def lines(made_by, now):
        match = Match(Candidate(made_by.visual, made_by.dataset), "as the file says", 1.0, 0.0, 0.0, 10)
        diagnosis = replace(diagnose(tmp_path / "a.npy", now), comparison=Comparison((match,), 1, ("a",), (), ()))
        json.dumps(as_dict(diagnosis), allow_nan=False)
        return describe(diagnosis, now).splitlines()

    assert f"{line}    # now: null" in lines(with_motion, without)
    assert line in lines(with_motion, with_motion)
    assert f"  motion: null    # now: {line.partition(': ')[2]}" in lines(without, with_motion)
    assert not any("motion" in text for text in lines(without, without)[-8:])


def test_a_shard_says_it_itself(tmp_path):
    recipe = {"backbone": "vggish", "weights": "random:7", "alignment": "segment", "storage": "float32"}
    row = ShardRow("x", "0" * 64, np.maximum(NORMAL[0], 0), np.array([True, True, False]))
    write_shard(tmp_path / "s.h5", [row], {"recipe": json.dumps(recipe)})
    text = describe(diagnose(tmp_path / "s.h5", PARAMS), PARAMS)
    assert "by their own account: backbone vggish, weights random:7, alignment segment." in text
    assert "1 masked" in text
    assert "the file names the video of each row" in text
    assert "weights is 'random:7' in the file and 'random:128' by params.yaml" in text


@pytest.mark.parametrize(("largest", "words"), [(300, "visual.weights: keras"), (20, "visual.weights: torchvision")])
def test_the_scale_of_pixels_is_called_a_rule_of_thumb(largest, words, write_released):
    diagnosis = diagnose(write_released(MAPS / MAPS.max() * largest), PARAMS)
    text = describe(diagnosis, PARAMS)
    assert words in text
    assert f"largest value {largest}" in text
    assert "a rule of thumb, not checked" in text
    assert as_dict(diagnosis)["pixel_scale"] == ("caffe" if largest == 300 else "torchvision")


def test_channels_that_come_first_are_pointed_out(write_released):
    text = describe(diagnose(write_released(np.moveaxis(MAPS, -1, 2)), PARAMS), PARAMS)
    assert "channels first: (C, H, W)" in text
    assert "channels first" not in describe(diagnose(write_released(MAPS), PARAMS), PARAMS)


def test_the_order_is_told_with_what_it_rests_on(write_released, write_annotations):
    write_annotations(["b", "a", "b", "c"])
    text = describe(diagnose(write_released(NORMAL[[0, 1, 0, 2]]), PARAMS), PARAMS)
    assert "4 rows fit, Annotations.txt has 4 rows of 3 videos" in text
    assert "in annotation order, 1 of 1 pairs of rows of one video are equal" in text
    assert "in sorted video ids, 0 of 1 pairs" in text
    assert "so the order is: annotation order" in text
    text = describe(diagnose(write_released(NORMAL[:2]), PARAMS), PARAMS)
    assert "not known: 2 rows do not fit" in text
    text = describe(diagnose(write_released(NORMAL[:3]), PARAMS), PARAMS)
    assert "so the order cannot be told without videos" in text


@pytest.fixture
def compare(write_released, write_annotations, tmp_path, media, _quick_networks):
    """Return a function that diagnoses rows against two videos: one of them twice in the annotations."""
    for name, second in (("a", 0), ("b", 3)):
        sound = media.sound_of(13, 16_000)[:, second * 16_000 :]
        media.write(tmp_path / "videos" / f"{name}.mp4", num_frames=None, waveforms=[sound], audio_rate=16_000)
    write_annotations(["b", "a", "b"])

    def run(audio, change=lambda rows: rows, missing=""):
        extractor = AudioExtractor(audio, PARAMS.dataset, torch.device("cpu"))
        inputs = [extractor.decoder(tmp_path / "videos" / f"{name}.mp4").inputs for name in "bab"]
        rows = np.stack([extractor.network(torch.from_numpy(patches)).numpy() for patches in inputs])
        for name in missing:
            (tmp_path / "videos" / f"{name}.mp4").unlink()
        diagnosis = diagnose(write_released(change(rows)), PARAMS, videos=tmp_path / "videos")
        json.dumps(as_dict(diagnosis), allow_nan=False)
        return describe(diagnosis, PARAMS).splitlines(), as_dict(diagnosis)

    return run


def test_the_recipe_that_made_the_file_stands_second_and_as_params_last(compare):
    lines, content = compare(PARAMS.audio.model_copy(update={"alignment": "continuous"}))
    assert lines[1] == (
        "Made by audio.weights: random, audio.weights_seed: 128, audio.alignment: continuous, audio.postprocess: none, "
        "rows: in annotation order (correlation 1.00000)."
    )
    assert lines[-6:] == [
        "In params.yaml:",
        "audio:",
        "  weights: random",
        "  weights_seed: 128",
        "  alignment: continuous    # now: segment",
        "  postprocess: none",
    ]
    assert any(line.startswith("left out") and "vggish-10086976.pth" in line for line in lines)
    table = lines.index(next(line for line in lines if line.startswith("correlation")))
    assert lines[table].endswith("all with audio.weights: random, audio.weights_seed: 128")
    assert lines[table + 1].split() == [
        *("1.00000", "0.00", "%", "20", "audio.alignment:", "continuous,"),
        *("audio.postprocess:", "none,", "rows:", "in", "annotation", "order"),
    ]
    assert lines[table + 7] == "and 2 worse ones"
    best = content["comparison"]["matches"][0]
    assert best["params"]["audio.alignment"] == "continuous"
    assert (best["order"], best["num_segments"]) == ("annotation order", 20)
    assert (content["comparison"]["verdict"], content["comparison"]["num_ties"]) == ("made", 1)


def test_no_recipe_is_recommended_where_none_made_the_file(compare):
    noise = np.random.default_rng(0).random((3, 10, 128))
    lines, content = compare(PARAMS.audio, change=lambda rows: noise[[0, 0, 2]], missing="a")
    assert content["comparison"]["num_ties"] >= 2
    assert not any("cannot tell" in line for line in lines)
    assert lines[1].startswith("None of 4 candidates made it: the best correlates by 0.")
    assert lines[1].endswith("and 0.9000 is needed.")
    assert "In params.yaml:" not in lines
    assert content["comparison"]["verdict"] == "none"


def test_recipes_that_the_videos_cannot_tell_apart_are_called_so(compare):
    lines, content = compare(PARAMS.audio, change=lambda rows: rows[[0, 0, 2]], missing="a")
    assert lines[1].endswith("(correlation 1.00000); 1 more cannot be told from it by these videos.")
    assert "These videos cannot tell the first 2 apart; name others, or more." in lines
    assert content["comparison"]["num_ties"] == 2


def test_what_could_not_be_compared_is_said_second(compare):
    lines, content = compare(PARAMS.audio, missing="ab")
    assert lines[1].startswith("Not compared with videos: no file in ")
    assert lines[1].removeprefix("Not compared with videos: ") == f"{content['not_compared']}."
    assert content["comparison"] is None


def test_a_released_file_is_described_from_its_values():
    folder = Path(os.environ.get("AVEL_REAL_DIR", REPOSITORY.parent / "shared" / "real")) / "ave"
    path = folder / "audio_feature_noisy.h5"
    if not path.is_file():
        pytest.skip(f"no released features in {folder}; set AVEL_REAL_DIR")
    diagnosis = diagnose(path, PARAMS)
    first, *others = describe(diagnosis, PARAMS).splitlines()
    assert first == (
        f"{path}: raw VGGish features after the final ReLU: no PCA, not quantised; "
        "computed in float32, stored as float64."
    )
    text = "\n".join(others)
    assert "178 of 178 rows, 1780 segments" in text
    assert "0 to 4.53728, 65.3% zero, none negative" in text
    assert "not known: 178 rows do not fit, Annotations.txt has 4143 rows of 4097 videos" in text
    assert json.loads(json.dumps(as_dict(diagnosis), allow_nan=False))["values"]["processing"] == "rectified"
