"""Features that our own extractors made, under a recipe and in an order that the comparison has to find."""

import shutil
from fractions import Fraction

import numpy as np
import pytest
import torch

from pipeline.doctor.candidates import find_candidates
from pipeline.doctor.comparison import Comparison, Match, compare, correlation
from pipeline.doctor.orders import possible_orders
from pipeline.doctor.values import recognise
from pipeline.extraction.batching import compute_features
from pipeline.features.audio.extractor import AudioExtractor
from pipeline.features.contract import combine_samples
from pipeline.features.visual.extractor import VisualExtractor, visual_extractor
from pipeline.media.segments import segment_valid
from pipeline.store.manifest import VideoFile

CPU = torch.device("cpu")
ANNOTATED = ("c", "a", "b")
SECONDS = 3


@pytest.fixture
def small_params(make_params):
    return lambda **changes: make_params(**{"dataset.num_segments": SECONDS, **changes})


@pytest.fixture(scope="module")
def clips(tmp_path_factory, media):
    """Return folders of three clips by frame rate; the shape of the picture and the first tone tell clips apart."""
    folders = {}
    for frame_rate in (Fraction(1758, 100), Fraction(16)):
        folders[float(frame_rate)] = tmp_path_factory.mktemp("clips")
        for number, name in enumerate(ANNOTATED):
            media.write(
                folders[float(frame_rate)] / f"{name}.mp4",
                num_frames=int(frame_rate * SECONDS),
                frame_rate=frame_rate,
                size=(80 + 16 * number, 32 + 32 * number),
                waveforms=[media.sound_of(SECONDS + number, 16_000)[:, number * 16_000 :]],
                audio_rate=16_000,
            )
    return folders


@pytest.fixture
def videos(clips, tmp_path):
    """Return paths of clips of an odd frame rate, for a test to spoil."""
    shutil.copytree(clips[17.58], tmp_path / "videos")
    return {name: tmp_path / "videos" / f"{name}.mp4" for name in ANNOTATED}


def extract(extractor, paths):
    """Return rows (N, T, ...) of files, as the engine makes them."""
    rows = []
    for path in paths:
        prepared = extractor.decoder(path)
        outputs = extractor.network(torch.from_numpy(prepared.inputs))
        rows.append(combine_samples(outputs, prepared.rows, extractor.combine).numpy())
        rows[-1][~segment_valid(prepared.rows)] = 0
    return np.stack(rows).astype(np.float64)


@pytest.fixture
def find_recipe(small_params, in_memory, videos):
    """Return a function that makes a file under a recipe and compares it with every candidate, in every order."""

    def find(
        modality,
        *,
        order=ANNOTATED,
        change=lambda rows: rows,
        paths=videos,
        num_videos=3,
        annotated=ANNOTATED,
        **settings,
    ):
        params = small_params()
        section = getattr(params, modality).model_copy(update=settings)
        extractor = (AudioExtractor if modality == "audio" else VisualExtractor)(section, params.dataset, CPU)
        file = in_memory(change(extract(extractor, [paths[name] for name in order])))
        shape = recognise(file.segment_shape)
        return compare(
            file,
            possible_orders(len(order), annotated),
            paths,
            find_candidates(params, shape, SECONDS, None),
            CPU,
            num_videos=num_videos,
            is_channels_first=shape.is_channels_first,
        )

    return find


@pytest.mark.usefixtures("_quick_networks")
class TestRecipe:
    @pytest.mark.parametrize("alignment", ["segment", "continuous"])
    @pytest.mark.parametrize("postprocess", ["none", "pca"])
    @pytest.mark.parametrize("order", [ANNOTATED, tuple(sorted(ANNOTATED))])
    def test_of_sound_is_found_with_the_order(self, alignment, postprocess, order, find_recipe):
        comparison = find_recipe("audio", alignment=alignment, postprocess=postprocess, order=order)
        best = comparison.matches[0]
        assert (best.candidate.section.alignment, best.candidate.section.postprocess) == (alignment, postprocess)
        assert best.order == ("annotation order" if order == ANNOTATED else "sorted video ids")
        assert comparison.verdict == "made"
        assert best.correlation == pytest.approx(1, abs=1e-9)
        assert best.relative_difference < 1e-5
        assert len(comparison.ties) == 1
        assert len(comparison.matches) == 8

    @pytest.mark.parametrize("sampling", ["frames", "time"])
    @pytest.mark.parametrize("frames_per_segment", [1, 16])
    @pytest.mark.slow
    def test_of_images_is_found_with_the_order_at_an_odd_frame_rate(self, sampling, frames_per_segment, find_recipe):
        order = tuple(sorted(ANNOTATED))
        comparison = find_recipe("visual", sampling=sampling, frames_per_segment=frames_per_segment, order=order)
        best = comparison.matches[0]
        assert best.candidate.settings["visual.sampling"] == sampling
        assert best.candidate.settings["visual.frames_per_segment"] == frames_per_segment
        assert (best.order, comparison.verdict, len(comparison.ties)) == ("sorted video ids", "made", 1)

    def test_is_found_whatever_the_axis_of_the_channels(self, find_recipe):
        channels_first = find_recipe("visual", change=lambda rows: np.moveaxis(rows, -1, 2))
        assert channels_first.matches[0].correlation == pytest.approx(1, abs=1e-9)

    def test_is_found_where_levels_were_mapped_back(self, find_recipe):
        comparison = find_recipe("audio", postprocess="pca", change=lambda rows: rows * 4 / 255 - 2)
        assert comparison.verdict == "made"
        assert comparison.matches[0].candidate.section.postprocess == "pca"
        assert comparison.matches[0].relative_difference > 1

    def test_is_none_of_them_where_the_values_are_others(self, find_recipe):
        noise = np.random.default_rng(0).random((3, SECONDS, 128))
        assert find_recipe("audio", change=lambda rows: noise).verdict == "none"

    def test_is_near_where_something_small_differs(self, find_recipe):
        noise = np.random.default_rng(0).normal(size=(3, SECONDS, 128))
        comparison = find_recipe("audio", change=lambda rows: rows + noise * rows.std() / 10)
        assert comparison.verdict == "near"
        assert comparison.matches[0].candidate.section.alignment == "segment"

    def test_cannot_be_told_where_the_videos_do_not_tell_it(self, clips, find_recipe):
        even = {name: clips[16.0] / f"{name}.mp4" for name in ANNOTATED}
        comparison = find_recipe("visual", frames_per_segment=8, paths=even)
        assert comparison.verdict == "made"
        tied = [match.candidate.settings for match in comparison.ties]
        assert {settings["visual.sampling"] for settings in tied} == {"frames", "time"}
        assert {settings["visual.frames_per_segment"] for settings in tied} == {8}


@pytest.mark.slow
@pytest.mark.usefixtures("_quick_networks")
@pytest.mark.parametrize(("sampling", "combine"), [("frames", "mean"), ("time", "stack")])
def test_the_recipe_of_two_streams_is_found(sampling, combine, small_params, in_memory, videos):
    motion = {"backbone": "r2plus1d_18", "weights": "random", "weights_sha256": None, "weights_seed": 18}
    params = small_params(
        **{
            "visual.backbone": "resnet152_pooled",
            "visual.combine": combine,
            "visual.frames_per_segment": 8,
            "visual.sampling": sampling,
            "visual.storage": "float32",
            "visual.motion": motion,
        }
    )
    extractor = visual_extractor(params.visual, params.dataset, CPU)
    source = ((VideoFile(name, "", None, None), extractor.decoder(videos[name])) for name in ANNOTATED)
    rows = {done.video.video_id: done.features for done in compute_features(extractor, source)}
    file = in_memory(np.stack([rows[name] for name in ANNOTATED]))
    shape = recognise(file.segment_shape)
    assert (shape.num_stacked, shape.motion) == (8 if combine == "stack" else None, "r2plus1d_18")
    other = small_params(**{"visual.motion": {**motion, "weights_seed": 3}})
    recipe = {"weights": "random:19", "motion": {"weights": "random:18"}}
    candidates = find_candidates(other, shape, SECONDS, recipe)
    comparison = compare(file, possible_orders(3, ANNOTATED), videos, candidates, CPU, num_videos=3)
    best = comparison.matches[0].candidate.settings
    assert (best["visual.sampling"], best["visual.frames_per_segment"]) == (sampling, 8)
    assert best["visual.motion"] == motion
    assert comparison.verdict == "made"
    assert comparison.matches[0].correlation == pytest.approx(1, abs=1e-6)


@pytest.mark.usefixtures("_quick_networks")
class TestVideos:
    def test_are_spread_over_the_rows(self, find_recipe):
        assert find_recipe("audio", num_videos=2).video_ids == ("c", "b")
        assert find_recipe("audio", num_videos=9).video_ids == ("c", "a", "b")

    def test_that_do_not_decode_are_named_and_others_stand_in(self, videos, find_recipe):
        good = find_recipe("audio", num_videos=2)

        def spoil(rows):
            videos["c"].write_bytes(b"no media" * 100)
            return rows

        comparison = find_recipe("audio", num_videos=2, change=spoil)
        assert comparison.video_ids == ("b", "a")
        assert len(comparison.unusable_videos) == 1
        assert comparison.unusable_videos[0].startswith("c.mp4: ")
        assert comparison.matches[0].candidate == good.matches[0].candidate

    def test_that_a_sampling_cannot_use_leave_it_without_them(self, media, videos, find_recipe):
        media.write(videos["b"], num_frames=2, audio_seconds=None, frame_rate=1)  # too few to choose by number
        comparison = find_recipe("visual", sampling="time")
        num_segments = {(m.candidate.section.sampling, m.order): m.num_segments for m in comparison.matches}
        assert num_segments["time", "annotation order"] == 8
        assert num_segments["frames", "annotation order"] == 6

    def test_that_are_missing_are_not_compared(self, videos, find_recipe):
        def delete(rows):
            del videos["c"]
            return rows

        comparison = find_recipe("audio", change=delete)
        assert comparison.video_ids == ("a", "b")
        assert comparison.verdict == "made"


@pytest.mark.usefixtures("_quick_networks")
class TestSegments:
    def test_that_the_file_has_not_are_not_compared(self, find_recipe):
        def lose(rows):
            rows[0, 1] = 0
            rows[1, 2, 5] = np.nan
            return rows

        best = find_recipe("audio", change=lose).matches[0]
        assert best.num_segments == 3 * SECONDS - 2
        assert best.correlation == pytest.approx(1, abs=1e-9)

    def test_that_the_file_masks_are_not_compared(self, small_params, in_memory, videos):
        params = small_params()
        rows = extract(AudioExtractor(params.audio, params.dataset, CPU), videos.values())
        valid = np.ones((3, SECONDS), bool)
        valid[2, :2], rows[2, :2] = False, 9
        (order, _) = possible_orders(3, ANNOTATED)
        candidates = find_candidates(params, recognise((128,)), SECONDS, None)
        best = compare(in_memory(rows, valid=valid), [order], videos, candidates, CPU, num_videos=3).matches[0]
        assert (best.num_segments, best.correlation) == (3 * SECONDS - 2, pytest.approx(1, abs=1e-9))

    def test_that_a_video_has_not_are_not_compared(self, media, videos, find_recipe):
        media.write(videos["b"], num_frames=50, audio_seconds=None)
        best = find_recipe("visual", sampling="time", change=lambda rows: rows + 1).matches[0]
        assert (best.num_segments, best.correlation) == (3 * SECONDS - 1, pytest.approx(1, abs=1e-9))

    def test_of_images_are_few_with_both_ends(self, monkeypatch, find_recipe):
        monkeypatch.setattr("pipeline.doctor.comparison.NUM_VISUAL_SEGMENTS", 2)
        assert find_recipe("visual").matches[0].num_segments == 2 * 3

        def lose_the_middle(rows):
            rows[:, 1:-1] = 0
            return rows

        assert find_recipe("visual", change=lose_the_middle).matches[0].num_segments == 2 * 3

    def test_nothing_in_common_is_no_match(self, find_recipe):
        assert find_recipe("audio", change=np.zeros_like).matches == ()


@pytest.mark.usefixtures("_quick_networks")
def test_a_network_sees_each_frame_once_whatever_the_number_of_recipes(monkeypatch, find_recipe):
    seen = []
    network = VisualExtractor.network
    monkeypatch.setattr(
        VisualExtractor, "network", lambda self, inputs: (seen.extend(inputs), network(self, inputs))[1]
    )
    find_recipe("visual", num_videos=1, frames_per_segment=1)
    of_comparison = torch.stack(seen[3 * SECONDS :])
    assert len(of_comparison) == len(of_comparison.unique(dim=0))
    assert len(of_comparison) < 18 * SECONDS


@pytest.mark.usefixtures("_quick_networks")
def test_weights_that_cannot_be_fetched_are_left_out_with_a_line_each(find_recipe):
    comparison = find_recipe("visual")
    assert len(comparison.unavailable_weights) == 2
    for line, name in zip(comparison.unavailable_weights, ("tf_kernels_notop.h5", "dcbb9e9d.pth"), strict=True):
        assert name in line
        assert "found no network" in line
    assert {match.candidate.section.weights for match in comparison.matches} == {"random"}
    assert len(find_recipe("audio").unavailable_weights) == 1


def match(value, wrong=0.0, candidate=None):
    return Match(candidate, "annotation order", value, wrong, 0.1, 4)


@pytest.mark.parametrize(
    ("best", "verdict"),
    [
        (match(0.99995), "made"),
        (match(0.9998), "near"),
        (match(0.91), "near"),
        (match(0.89), "none"),
        (match(0.96, wrong=0.95), "none"),
        (match(0.98, wrong=0.95), "near"),
    ],
)
def test_a_match_is_worth_more_than_what_any_segment_gives(best, verdict):
    assert Comparison((best, match(0.1)), 2, (), (), ()).verdict == verdict


def test_matches_are_alike_by_what_they_leave_unexplained():
    matches = (match(1 - 1e-9), match(1 - 2e-7), match(1 - 1e-6), match(0.99))
    assert Comparison(matches, 4, (), (), ()).ties == matches[:2]


def test_nothing_correlates_with_a_constant():
    assert correlation(np.full(5, 0.1), np.arange(5.0)) == 0
    assert correlation(np.arange(5.0), -np.arange(5.0)) == pytest.approx(-1)


@pytest.mark.slow
def test_the_real_networks_find_their_recipe(find_recipe, monkeypatch):
    """With random weights of full size, and a frame per segment."""
    monkeypatch.setattr("pipeline.doctor.candidates.FRAMES_PER_SEGMENT", (1,))
    monkeypatch.setattr("pipeline.doctor.comparison.NUM_VISUAL_SEGMENTS", 2)
    comparison = find_recipe("visual", sampling="time", order=("a", "c"), annotated=("c", "a"))
    best = comparison.matches[0]
    assert best.candidate.settings["visual.sampling"] == "time"
    assert (best.order, comparison.verdict) == ("sorted video ids", "made")
