"""What is found out of a file as a whole."""

import json

import numpy as np
import pytest
import torch

from pipeline.core.errors import AnnotationError, PipelineError
from pipeline.doctor.diagnosis import diagnose
from pipeline.extraction.batching import compute_features
from pipeline.features.recipes import audio_recipe
from pipeline.features.visual.extractor import visual_extractor
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import ShardRow, write_shard

SECONDS = 2
RAW = np.maximum(np.random.default_rng(0).normal(size=(3, SECONDS, 128)), 0)


@pytest.fixture
def params(make_params):
    return make_params(**{"dataset.num_segments": SECONDS})


@pytest.fixture
def videos(tmp_path, media):
    folder = tmp_path / "videos"
    for name in ("a", "b"):
        media.write(folder / f"{name}.mp4", num_frames=25 * SECONDS, audio_seconds=float(SECONDS))
    return folder


@pytest.fixture
def write_audio_shard(tmp_path):
    def write(recipe, *names, channels=128):
        rows = [
            ShardRow(name, "0" * 64, RAW[0, :, :channels].astype(np.float32), np.ones(SECONDS, bool)) for name in names
        ]
        write_shard(tmp_path / "shard.h5", rows, {"recipe": json.dumps(recipe)})
        return tmp_path / "shard.h5"

    return write


def test_annotations_beside_the_file_are_used_unless_others_are_named(
    write_released, write_annotations, params, tmp_path
):
    path = write_released(RAW)
    assert diagnose(path, params).order is None
    write_annotations(["b", "a", "b"])
    assert diagnose(path, params).order.num_annotated == 3
    other = tmp_path / "other.txt"
    other.write_text("Bark&a&good&0&10\n")
    assert diagnose(path, params, annotations=other).order.num_annotated == 1
    with pytest.raises(AnnotationError, match="found no file"):
        diagnose(path, params, annotations=tmp_path / "none.txt")


def test_a_shard_of_the_recipe_in_params_does_not_differ(write_audio_shard, write_annotations, params):
    write_annotations(["x"])
    diagnosis = diagnose(write_audio_shard(audio_recipe(params.audio, params.dataset), "x"), params)
    assert diagnosis.differences == ()
    assert diagnosis.order is None  # it names its videos itself


def test_a_shard_of_another_recipe_differs_by_key(write_audio_shard, params):
    recipe = audio_recipe(params.audio, params.dataset)
    diagnosis = diagnose(write_audio_shard({**recipe, "alignment": "continuous", "hop": 3}, "x"), params)
    assert diagnosis.differences == (
        "alignment is 'continuous' in the file and 'segment' by params.yaml",
        "hop is 3 in the file and None by params.yaml",
    )


def test_params_without_such_weights_are_said_instead_of_differences(write_audio_shard, make_params):
    params = make_params(**{"audio.weights": "mine.pth"})
    (difference,) = diagnose(write_audio_shard({"weights": "x"}, "x"), params).differences
    assert "audio.weights_sha256: expected the hash of the local file" in difference


@pytest.mark.usefixtures("_quick_networks")
class TestVideos:
    def test_are_compared_with_the_rows_that_a_shard_names(self, write_audio_shard, params, videos):
        path = write_audio_shard(audio_recipe(params.audio, params.dataset), "b", "c", "a")
        diagnosis = diagnose(path, params, videos=videos)
        assert diagnosis.not_compared is None
        assert diagnosis.comparison.video_ids == ("b", "a")
        assert {match.order for match in diagnosis.comparison.matches} == {"as the file says"}

    @pytest.mark.parametrize(
        ("rows", "annotated", "reason"),
        [
            (RAW, None, "which video each row is of is not known"),
            (RAW, ["a", "b"], "which video each row is of is not known"),
            (RAW, ["x", "y", "z"], "is named by the id of a row, such as x.mp4"),
            (RAW[..., :29], ["b", "a", "b"], "no recipe makes segments of shape (29,)"),
            (np.zeros_like(RAW), ["b", "a", "b"], "the videos and the rows have no segment in common"),
        ],
    )
    def test_may_be_of_no_use_which_is_said(self, rows, annotated, reason, write_released, request, params, videos):
        if annotated:
            request.getfixturevalue("write_annotations")(annotated)
        diagnosis = diagnose(write_released(rows), params, videos=videos)
        assert reason in diagnosis.not_compared

    def test_need_weights(self, write_released, write_annotations, make_params, videos):
        write_annotations(["b", "a", "b"])
        params = make_params(**{"audio.weights": "torchvggish", "dataset.num_segments": SECONDS})
        diagnosis = diagnose(write_released(RAW), params, videos=videos)
        assert diagnosis.not_compared == "no weights to extract with"
        assert "vggish-10086976.pth" in diagnosis.comparison.unavailable_weights[0]

    def test_have_to_decode(self, write_released, write_annotations, params, videos):
        write_annotations(["b", "a", "b"])
        for path in videos.iterdir():
            path.write_bytes(b"nothing")
        diagnosis = diagnose(write_released(RAW), params, videos=videos)
        assert diagnosis.not_compared == "none of the videos can be decoded"
        assert len(diagnosis.comparison.unusable_videos) == 2

    def test_of_one_id_are_taken_as_mp4_where_there_is_one(self, write_audio_shard, params, videos):
        (videos / "a.avi").write_bytes(b"no media")
        (videos / "b.mp4").rename(videos / "b.m4v")
        path = write_audio_shard(audio_recipe(params.audio, params.dataset), "a", "b")
        comparison = diagnose(path, params, videos=videos).comparison
        assert (comparison.video_ids, comparison.unusable_videos) == (("a", "b"), ())


@pytest.mark.slow
@pytest.mark.usefixtures("_quick_networks")
def test_frames_of_a_clip_are_compared_as_those_of_its_segments(make_params, videos, tmp_path):
    """A file as LLP's `res152`: rows are frames, and the segments are those of the params."""
    settings = {"visual.backbone": "resnet152_pooled", "visual.combine": "stack", "visual.frames_per_segment": 8}
    params = make_params(**settings, **{"dataset.num_segments": SECONDS, "visual.sampling": "time"})
    extractor = visual_extractor(params.visual, params.dataset, torch.device("cpu"))
    source = [(VideoFile("a", "", None, None), extractor.decoder(videos / "a.mp4"))]
    (done,) = compute_features(extractor, source)
    np.save(tmp_path / "a.npy", done.features.reshape(8 * SECONDS, 2048))
    found = diagnose(tmp_path / "a.npy", params, videos=videos).comparison
    assert found.verdict == "made"
    settings = found.matches[0].candidate.settings
    assert (settings["visual.combine"], settings["visual.frames_per_segment"]) == ("stack", 8)


def test_what_cannot_be_asked_is_refused(write_released, params, tmp_path):
    path = write_released(RAW)
    with pytest.raises(PipelineError, match="nowhere: expected a folder of videos, found none"):
        diagnose(path, params, videos=tmp_path / "nowhere")
    with pytest.raises(PipelineError, match="num_rows: expected 1 or more, found 0"):
        diagnose(path, params, num_rows=0)
    with pytest.raises(PipelineError, match="num_videos: expected 1 or more, found -1"):
        diagnose(path, params, num_videos=-1)
