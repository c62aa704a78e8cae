"""Batches that span videos: what the network is given, what comes back to which video, and when."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from pipeline.core.errors import MediaError, PipelineError
from pipeline.extraction.batching import Computed, compute_features
from pipeline.features.audio.extractor import AudioExtractor
from pipeline.features.decoding import Prepared
from pipeline.features.visual.extractor import VisualExtractor, visual_extractor
from pipeline.media.segments import NO_FRAME
from pipeline.store.manifest import VideoFile


class Recorder:
    """An extractor whose network returns the inputs and their negatives, and notes what it was called with."""

    modality = "visual"
    storage = np.dtype("float32")

    def __init__(self, device: str = "cpu", combine: str = "mean") -> None:
        self.device, self.combine = torch.device(device), combine
        self._seen: list[torch.Tensor] = []

    def network(self, inputs: torch.Tensor) -> torch.Tensor:
        assert inputs.device.type == self.device.type
        if self.device.type == "cuda":
            torch.cuda._sleep(20_000_000)  # the host is far ahead when this reads its inputs
        self._seen.append(inputs.clone())
        return torch.stack([inputs, -inputs], 1)

    @property
    def calls(self) -> list[list[float]]:
        """What each call was given."""
        return [inputs.tolist() for inputs in self._seen]


def video(name: str, values: Sequence[float], rows: Sequence[Sequence[int]]) -> tuple[VideoFile, Prepared]:
    prepared = Prepared(np.array(values, np.float32), np.array(rows), "ok", 1.0, "")
    return VideoFile(name, name, 1, name), prepared


def results(extractor: object, size: int, *videos: tuple[VideoFile, Prepared | MediaError]) -> dict[str, Computed]:
    return {computed.video.video_id: computed for computed in compute_features(extractor, iter(videos), size)}


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def make(request: pytest.FixtureRequest) -> Callable[..., Recorder]:
    return lambda **options: Recorder(request.param, **options)


def test_every_call_has_the_same_size_and_the_last_is_padded(make):
    recorder = make()
    results(
        recorder,
        4,
        video("a", [1, 2, 3], [[0], [1], [2]]),
        video("b", [4, 5, 6, 7, 8, 9], [[0], [5]]),
        video("c", [10], [[0]]),
    )
    assert recorder.calls == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]]


def test_each_result_comes_back_to_its_video(make):
    computed = results(
        make(),
        4,
        video("a", [1, 2, 3], [[0, 1], [2, 2]]),
        video("b", [10, 20, 30, 40, 50, 60], [[0, 5], [NO_FRAME, 3]]),
    )
    np.testing.assert_array_equal(computed["a"].features, [[1.5, -1.5], [3, -3]])
    np.testing.assert_array_equal(computed["b"].features, [[35, -35], [40, -40]])


def test_segments_without_half_of_their_samples_are_zero(make):
    computed = results(make(), 4, video("a", [5, 6], [[0, 1, 1], [1, NO_FRAME, NO_FRAME]]))
    np.testing.assert_allclose(computed["a"].features, [[17 / 3, -17 / 3], [0, 0]])


def test_samples_can_be_kept_apart(make):
    computed = results(make(combine="stack"), 4, video("a", [5, 6], [[0, 1], [1, NO_FRAME]]))
    np.testing.assert_array_equal(computed["a"].features, [[[5, -5], [6, -6]], [[6, -6], [6, -6]]])


def test_what_could_not_be_decoded_passes_through_at_once_and_costs_no_call():
    recorder = Recorder()
    failed = VideoFile("failed", "failed", 1, "failed"), MediaError("not_media", "failed: text")
    empty = video("empty", [7], [[NO_FRAME, NO_FRAME]])
    loop = compute_features(recorder, iter([failed, empty, video("a", [1], [[0]])]), 4)
    first, second = next(loop), next(loop)
    assert (first.video, first.prepared, first.features) == (*failed, None)
    assert (second.video, second.features) == (empty[0], None)
    assert recorder.calls == []
    assert [computed.video.video_id for computed in loop] == ["a"]


def test_a_video_is_finished_as_soon_as_its_last_input_is_computed():
    recorder = Recorder()
    asked = []

    def source():
        for name in "abc":
            asked.append(name)
            yield video(name, [1, 2], [[0], [1]])

    loop = compute_features(recorder, source(), 4)
    assert next(loop).video.video_id == "a"
    assert asked == ["a", "b"]


def test_the_inputs_of_a_batch_are_not_overwritten_while_they_are_used(make):
    """On a GPU the next batch is filled while the copy of this one may be under way."""
    values = np.random.default_rng(0).random((50, 7)).astype(np.float32)
    videos = [video(f"{number}", row, [[index] for index in range(7)]) for number, row in enumerate(values)]
    computed = results(make(), 4, *videos)
    for number, row in enumerate(values):
        np.testing.assert_array_equal(computed[f"{number}"].features, np.stack([row, -row], 1))


def test_features_are_stored_in_the_type_the_recipe_says(make):
    recorder = make()
    recorder.storage = np.dtype("float16")
    features = results(recorder, 4, video("a", [1 / 3], [[0]]))["a"].features
    assert features.dtype == np.float16
    assert features[0, 0] == np.float16(np.float32(1 / 3))


def test_too_little_memory_is_one_line_with_a_smaller_batch():
    recorder = Recorder()

    def full(_: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …")

    recorder.network = full
    with pytest.raises(
        PipelineError,
        match=r"^extract\.batch_size: expected batches that fit cpu, found too little memory for 64 inputs; write 32",
    ):
        results(recorder, 64, video("a", [1], [[0]]))


@pytest.mark.gpu
def test_nothing_but_the_results_waits_for_the_gpu():
    """A copy of an index, say, would keep the host from filling the next batch."""
    recorder = Recorder("cuda")
    videos = [video(f"{number}", [number, 1, 2], [[0, 1], [2, 2]]) for number in range(8)]
    results(recorder, 4, *videos)  # allocates
    torch.cuda.set_sync_debug_mode("error")
    try:
        computed = results(recorder, 4, *videos)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert computed["5"].features[0].tolist() == [3, -3]


class JointRecorder:
    """A joint extractor of two streams: the values of a video, and pairs of them as inputs of the second stream."""

    modality, recipe, weights_sha256, code, decoder = "visual", {}, "", "", None
    storage, feature_shape = np.dtype("float32"), (6,)

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.streams = (Recorder(device, "stack"), Recorder(device))
        self.streams[0].batch_size, self.streams[1].batch_size = 4, 2

    def split(self, prepared: Prepared) -> tuple[Prepared, Prepared]:
        pairs = np.array([prepared.inputs[row].sum() for row in prepared.rows if NO_FRAME not in row], np.float32)
        rows = np.full((len(prepared.rows), 1), NO_FRAME)
        rows[(prepared.rows != NO_FRAME).all(axis=1), 0] = np.arange(len(pairs))
        return prepared, Prepared(pairs, rows, prepared.reason, prepared.seconds, prepared.detail)


class TestStreams:
    @pytest.fixture
    def joint(self, make) -> JointRecorder:
        return JointRecorder(make().device.type)

    def test_are_flattened_one_behind_the_other(self, joint):
        computed = results(joint, 0, video("a", [1, 2, 5], [[0, 1], [2, 2], [NO_FRAME, NO_FRAME]]))["a"]
        np.testing.assert_array_equal(
            computed.features, [[1, -1, 2, -2, 3, -3], [5, -5, 5, -5, 10, -10], [0, 0, 0, 0, 0, 0]]
        )
        assert len(computed.prepared.inputs) == 3, "what is counted is what was decoded"

    def test_have_batches_of_their_own_that_suit_them_or_are_as_large_as_asked_for(self, joint):
        videos = [video(name, [1, 2, 3], [[0, 1], [2, 2]]) for name in "abc"]
        results(joint, 0, *videos)
        assert [stream.calls for stream in joint.streams] == [
            [[1, 2, 3, 1], [2, 3, 1, 2], [3, 0, 0, 0]],
            [[3, 6], [3, 6], [3, 6]],
        ]
        again = JointRecorder(joint.device.type)
        results(again, 3, *videos)
        assert [[len(call) for call in stream.calls] for stream in again.streams] == [[3, 3, 3], [3, 3]]

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
    def test_come_back_to_their_video_whichever_is_finished_first(self, size, joint):
        values = np.random.default_rng(0).random((9, 4)).astype(np.float32)
        videos = [video(str(number), row, [[0, 1], [2, 3]]) for number, row in enumerate(values)]
        failed = VideoFile("failed", "failed", 1, "failed"), MediaError("not_media", "failed: text")
        computed = results(joint, size, *videos[:4], failed, *videos[4:])
        assert len(computed) == 10
        assert computed["failed"].features is None
        for number, (first, second, third, fourth) in enumerate(values):
            expected = [
                [first, -first, second, -second, first + second, -first - second],
                [third, -third, fourth, -fourth, third + fourth, -third - fourth],
            ]
            np.testing.assert_array_equal(computed[str(number)].features, expected)


RECIPES = [
    ("audio", {}),
    ("visual", {"visual.backbone": "vgg19"}),
    *(
        pytest.param("visual", {"visual.backbone": backbone, "visual.precision": precision}, marks=pytest.mark.gpu)
        for backbone in ("vgg19", "resnet152", "r2plus1d_18")
        for precision in ("float32", "bfloat16", "float16")
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize(("modality", "changes"), RECIPES)
def test_batches_of_other_inputs_give_the_same_bytes(modality, changes, device, make_params, request):
    """The same inputs in another order, with other neighbours, and padded."""
    is_for_gpu = request.node.get_closest_marker("gpu") is not None
    params = make_params(**changes)
    recipe = AudioExtractor if modality == "audio" else VisualExtractor
    extractor = recipe(getattr(params, modality), params.dataset, torch.device(device))
    shape = (96, 64) if modality == "audio" else (3, 224, 224)
    if changes.get("visual.backbone") == "r2plus1d_18":
        shape = (8, 3, 112, 112)
    generator = np.random.default_rng(0)
    size = extractor.batch_size if is_for_gpu else 4
    count = size + size // 2 + 1
    inputs = generator.standard_normal((count, *shape), np.float32)
    if modality == "visual":
        inputs = generator.integers(0, 256, (count, *shape), np.uint8)

    def computed(order: np.ndarray) -> np.ndarray:
        one = VideoFile("one", "one", 1, "one"), Prepared(inputs[order], np.arange(count)[:, None], "ok", 1.0, "")
        features = results(extractor, size, one)["one"].features
        assert features is not None
        return features

    order = generator.permutation(count)
    np.testing.assert_array_equal(computed(order), computed(np.arange(count))[order])


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_the_networks_of_llp_give_together_the_bytes_that_each_gives_alone(device, make_params):
    """Random frames of two videos, one of which lacks frames; batches of the networks' own sizes."""
    motion = {"backbone": "r2plus1d_18", "weights": "random", "weights_sha256": None, "weights_seed": 18}
    llp = {"visual.backbone": "resnet152_pooled", "visual.combine": "stack", "visual.frames_per_segment": 2}
    params = make_params(**llp, **{"visual.motion": motion, "dataset.num_segments": 2})
    joint = visual_extractor(params.visual, params.dataset, torch.device(device))
    appearance, snippets = joint.streams
    generator = np.random.default_rng(0)
    videos = [
        (
            VideoFile(name, name, 1, name),
            Prepared(
                generator.integers(0, 256, (3, *joint.decoder.frame_shape), np.uint8), np.array(rows), "ok", 1.0, ""
            ),
        )
        for name, rows in (("whole", [[0, 1], [2, 2]]), ("lacking", [[0, NO_FRAME], [1, 2]]))
    ]
    both = results(joint, 0, *videos)
    for stream, number, inside in ((appearance, 0, slice(4096)), (snippets, 1, slice(4096, None))):
        alone = results(stream, 0, *((video, joint.split(prepared)[number]) for video, prepared in videos))
        for name, computed in both.items():
            np.testing.assert_array_equal(computed.features[:, inside], alone[name].features.reshape(2, -1))
            assert computed.features[:, inside].any()
