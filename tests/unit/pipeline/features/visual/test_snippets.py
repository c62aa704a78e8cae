import pickle

import numpy as np
import pytest

from pipeline.features.visual.frames import FrameDecoder
from pipeline.features.visual.snippets import SnippetDecoder, fill_with_nearest
from pipeline.media.segments import NO_FRAME


def decoder(**changes: object) -> SnippetDecoder:
    settings = {
        "num_segments": 3,
        "segment_seconds": 1.0,
        "frames_per_segment": 4,
        "sampling": "time",
        "image_size": 112,
        "resize": "stretch_antialiased",
    }
    return SnippetDecoder(FrameDecoder(**{**settings, **changes}))


@pytest.mark.parametrize(
    ("indices", "filled"),
    [
        ([3, 4, 5, 6], [3, 4, 5, 6]),
        ([-1, -1, 7, 8], [7, 7, 7, 8]),  # at the start
        ([3, 4, -1, -1], [3, 4, 4, 4]),  # at the end
        ([3, -1, -1, 6], [3, 3, 6, 6]),  # in the middle
        ([3, -1, 5, -1], [3, 3, 5, 5]),  # equally near: the earlier one
        ([-1, 9, -1, -1], [9, 9, 9, 9]),
        ([0], [0]),
    ],
)
def test_a_missing_frame_is_the_nearest_one(indices, filled):
    assert fill_with_nearest(np.array(indices)).tolist() == filled


def test_a_segment_is_one_input_of_all_its_frames_in_order(tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", frame_rate=8, num_frames=24, audio_seconds=None)
    prepared = decoder()(path)
    assert (prepared.inputs.shape, prepared.inputs.dtype) == ((3, 4, 3, 112, 112), np.uint8)
    assert prepared.rows.tolist() == [[0], [1], [2]]
    numbers = [[media.number_in(frame.transpose(1, 2, 0)) for frame in snippet] for snippet in prepared.inputs]
    assert numbers == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18, 20, 22]]
    assert (prepared.reason, prepared.seconds) == ("ok", pytest.approx(3.0))


def test_a_slow_video_repeats_frames_inside_a_snippet(tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", frame_rate=2, num_frames=6, audio_seconds=None)
    numbers = [media.number_in(frame.transpose(1, 2, 0)) for frame in decoder()(path).inputs[1]]
    assert numbers == [2, 2, 3, 3]


def test_a_segment_with_half_of_its_frames_is_filled_and_one_with_fewer_is_masked(tmp_path, media):
    for num_frames, rows, last in (
        (20, [[0], [1], [2]], [16, 18, 18, 18]),
        (18, [[0], [1], [NO_FRAME]], [8, 10, 12, 14]),
    ):
        path = media.write(tmp_path / f"{num_frames}.mp4", frame_rate=8, num_frames=num_frames, audio_seconds=None)
        prepared = decoder()(path)
        assert prepared.rows.tolist() == rows
        assert [media.number_in(frame.transpose(1, 2, 0)) for frame in prepared.inputs[-1]] == last
        # Half of a segment makes it valid, and then nothing counts as missing.
        assert prepared.reason == ("ok" if num_frames == 20 else "short")


def test_a_file_of_which_no_segment_can_be_used_has_no_snippet(tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", frame_rate=8, num_frames=2, audio_seconds=None)
    prepared = decoder()(path)
    assert prepared.inputs.shape == (0, 4, 3, 112, 112)
    assert (prepared.rows == NO_FRAME).all()
    assert prepared.reason == "short"


def test_what_is_said_of_the_frames_is_said_of_the_snippets(tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", num_frames=150, audio_seconds=None)
    snippets, frames = decoder()(path), decoder().frames(path)
    assert snippets.sampling_offset_seconds == frames.sampling_offset_seconds == pytest.approx(2.76)
    assert (snippets.detail, snippets.seconds) == (frames.detail, frames.seconds)


def test_the_decoder_can_be_sent_to_a_process(tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", frame_rate=8, num_frames=24, audio_seconds=None)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(decoder()))(path).inputs, decoder()(path).inputs)
