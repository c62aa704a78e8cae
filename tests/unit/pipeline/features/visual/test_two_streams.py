"""Frames that are decoded once for two networks are what the decoder of either network makes of the file."""

import pickle
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import pipeline.features.visual.frames
from pipeline.features.decoding import Prepared
from pipeline.features.visual.frames import FrameDecoder
from pipeline.features.visual.snippets import SnippetDecoder
from pipeline.features.visual.two_streams import TwoStreamDecoder
from pipeline.media.segments import NO_FRAME

FRAMES = {"num_segments": 3, "segment_seconds": 1.0, "frames_per_segment": 4, "sampling": "time"}
APPEARANCE = FrameDecoder(**FRAMES, image_size=56, resize="crop")
MOTION = SnippetDecoder(FrameDecoder(**FRAMES, image_size=32, resize="stretch_antialiased"))
BOTH = TwoStreamDecoder(
    **vars(APPEARANCE), motion_image_size=MOTION.frames.image_size, motion_resize=MOTION.frames.resize
)


def assert_same(found: Prepared, expected: Prepared) -> None:
    for field in fields(Prepared):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name), err_msg=field.name)
    assert found.inputs.dtype == expected.inputs.dtype


@pytest.mark.parametrize("sampling", ["time", "frames"])
@pytest.mark.parametrize(
    ("frame_rate", "num_frames", "valid"),
    [
        (8, 24, [True, True, True]),
        (3, 9, [True, True, True]),  # frames are repeated
        (8, 20, [True, True, True]),  # the last segment lacks half of its frames
        (8, 18, [True, True, False]),
    ],
)
def test_either_network_gets_what_its_own_decoder_makes(sampling, frame_rate, num_frames, valid, tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", frame_rate=frame_rate, num_frames=num_frames, audio_seconds=None)
    appearance, motion = replace(BOTH, sampling=sampling).split(replace(BOTH, sampling=sampling)(path))
    assert_same(appearance, replace(APPEARANCE, sampling=sampling)(path))
    assert_same(motion, SnippetDecoder(replace(MOTION.frames, sampling=sampling))(path))
    if sampling == "time":
        assert (motion.rows[:, 0] != NO_FRAME).tolist() == valid


def test_a_file_is_decoded_once_and_each_frame_is_resized_to_both_squares(tmp_path, media, monkeypatch):
    path = media.write(tmp_path / "clip.mp4", frame_rate=8, num_frames=24, audio_seconds=None)
    calls = []
    read_frames = pipeline.features.visual.frames.read_frames

    def counting(path, timeline, numbers, convert):
        calls.append(len(set(numbers)))
        return read_frames(path, timeline, numbers, convert)

    monkeypatch.setattr("pipeline.features.visual.frames.read_frames", counting)
    prepared = BOTH(path)
    assert calls == [12]
    assert (prepared.inputs.shape, prepared.inputs.dtype) == ((12, 3 * 56**2 + 3 * 32**2), np.uint8)
    assert prepared.inputs.shape[1:] == BOTH.frame_shape
    assert prepared.rows.tolist() == np.arange(12).reshape(3, 4).tolist()


def test_a_file_of_which_no_segment_can_be_used_has_no_snippet(tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", frame_rate=8, num_frames=2, audio_seconds=None)
    appearance, motion = BOTH.split(BOTH(path))
    assert_same(appearance, APPEARANCE(path))
    assert_same(motion, MOTION(path))
    assert motion.inputs.shape == (0, 4, 3, 32, 32)


def test_the_decoder_can_be_sent_to_a_process_without_torch(tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", frame_rate=8, num_frames=24, audio_seconds=None)
    assert_same(pickle.loads(pickle.dumps(BOTH))(path), BOTH(path))
    code = "import sys, pipeline.features.visual.two_streams; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 0
