"""Which recipes are tried."""

import pytest

from pipeline.doctor.candidates import find_candidates
from pipeline.doctor.values import recognise


@pytest.fixture
def tried(make_params):
    """Return a function that lists one setting of all candidates, in order, each value once."""

    def find(segment_shape, *keys, recipe=None, **changes):
        params = make_params(**changes)
        candidates = find_candidates(params, recognise(segment_shape), 5, recipe)
        assert len(set(candidates)) == len(candidates)
        assert {candidate.dataset.num_segments for candidate in candidates} == {5}
        values = [tuple(candidate.settings.get(key) for key in keys) for candidate in candidates]
        once = [value for number, value in enumerate(values) if value not in values[:number]]
        return once if len(keys) > 1 else [value for (value,) in once]

    return find


def test_frames_are_chosen_both_ways_and_as_many_as_is_usual_or_asked_for(tried):
    settings = tried((7, 7, 512), "visual.sampling", "visual.frames_per_segment", **{"visual.frames_per_segment": 4})
    assert sorted(settings) == [(sampling, n) for sampling in ("frames", "time") for n in (1, 4, 8, 16)]


def test_weights_are_those_of_params_and_the_published_ones(tried):
    assert tried((7, 7, 512), "visual.weights") == ["random", "keras", "torchvision"]
    assert tried((7, 7, 512), "visual.weights", **{"visual.weights": "keras"}) == ["keras", "torchvision"]
    local = {"visual.weights": "mine.pth", "visual.weights_sha256": "0" * 8}
    assert tried((7, 7, 512), "visual.weights", **local) == ["mine.pth", "keras", "torchvision"]


def test_the_weights_of_another_backbone_are_not_tried(tried):
    changes = {"visual.weights": "torchvision"}
    assert tried((7, 7, 1024), "visual.weights", **changes) == ["torchvision", "torchvision_v2"]
    changes = {"visual.weights": "mine.h5"}
    assert tried((7, 7, 1024), "visual.backbone", **changes) == ["resnet101", "resnet152"]
    assert tried((7, 7, 1024), "visual.weights", **changes) == ["torchvision", "torchvision_v2"]


def test_a_hash_goes_with_its_own_file_alone(make_params):
    params = make_params(**{"visual.weights": "mine.pth", "visual.weights_sha256": "0" * 8})
    for candidate in find_candidates(params, recognise((7, 7, 512)), 10, None):
        expected = "0" * 8 if candidate.section.weights == "mine.pth" else None
        assert candidate.section.weights_sha256 == expected


def test_the_hash_of_the_components_goes_with_their_own_file_alone(make_params):
    params = make_params(**{"audio.pca_weights": "mine.npz", "audio.pca_sha256": "0" * 8})
    sections = [candidate.section for candidate in find_candidates(params, recognise((128,)), 10, None)]
    assert {(section.weights, section.pca_weights, section.pca_sha256) for section in sections} == {
        ("random", "mine.npz", "0" * 8),
        ("torchvggish", "torchvggish", None),
    }


def test_random_weights_that_a_shard_names_are_tried(tried):
    keys = ("visual.weights", "visual.weights_seed")
    assert ("random", 7) in tried((7, 7, 512), *keys, recipe={"weights": "random:7"})
    assert ("random", 7) not in tried((7, 7, 512), *keys, recipe={"weights": "sha256:7"})


def test_stacked_samples_say_how_many_frames_there_are(tried):
    keys = ("visual.combine", "visual.frames_per_segment", "visual.backbone")
    assert tried((8, 2048), *keys) == [("stack", 8, "resnet152_pooled")]


MOTION = {"backbone": "r2plus1d_18", "weights": "random", "weights_sha256": None, "weights_seed": 18}


class TestMotion:
    LENGTH = (8 * 2048 + 512,)

    def test_is_tried_with_the_published_weights_where_params_have_none(self, tried):
        keys = ("visual.backbone", "visual.combine", "visual.frames_per_segment", "visual.motion")
        published = {**MOTION, "weights": "torchvision", "weights_seed": 19}
        assert tried(self.LENGTH, *keys) == [("resnet152_pooled", "stack", 8, published)]

    def test_is_tried_with_the_weights_of_params_and_of_the_file_too(self, tried):
        recipe = {"weights": "random:3", "motion": {"weights": "random:5"}}
        found = tried(self.LENGTH, "visual.motion", recipe=recipe, **{"visual.motion": MOTION})
        assert [(motion["weights"], motion["weights_seed"]) for motion in found] == [
            ("random", 18),
            ("torchvision", 18),
            ("random", 5),
        ]

    def test_of_a_recipe_that_is_not_understood_is_left_out(self, tried):
        assert len(tried(self.LENGTH, "visual.motion", recipe={"motion": "r2plus1d_18"})) == 1

    def test_is_none_where_a_segment_has_none(self, tried):
        assert tried((8, 2048), "visual.motion", **{"visual.motion": MOTION}) == [None]


def test_a_snippet_is_of_several_frames(tried):
    assert tried((512,), "visual.frames_per_segment") == [16, 8]


def test_sound_is_aligned_and_processed_both_ways(tried):
    keys = ("audio.weights", "audio.alignment", "audio.postprocess", "audio.pca_weights")
    pca = {"random": "random", "torchvggish": "torchvggish"}
    assert sorted(tried((128,), *keys), key=str) == sorted(
        [
            (weights, alignment, postprocess, pca[weights] if postprocess == "pca" else None)
            for weights in pca
            for alignment in ("segment", "continuous")
            for postprocess in ("none", "pca")
        ],
        key=str,
    )


def test_continuous_patches_take_segments_of_a_second(tried):
    assert tried((128,), "audio.alignment", **{"dataset.segment_seconds": 2.0}) == ["segment"]
