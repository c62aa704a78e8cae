"""From a file to pictures: the resizes, which frames are chosen, and what is said of those that are not there."""

import pickle
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from pipeline.core.errors import MediaError
from pipeline.features.recipes import RESIZE_DESCRIPTIONS
from pipeline.features.visual.frames import RESIZES, FrameDecoder, crop_antialiased, resize_antialiased, resize_bilinear
from pipeline.media.segments import NO_FRAME, segment_valid

SHAPES = [(240, 320), (241, 321), (720, 1280), (405, 719), (32, 80), (1, 1), (2, 500), (224, 224)]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def decoder(**changes: object) -> FrameDecoder:
    settings = {
        "num_segments": 3,
        "segment_seconds": 1.0,
        "frames_per_segment": 1,
        "sampling": "frames",
        "image_size": 224,
    }
    return FrameDecoder(**{**settings, **changes})


class TestResizes:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("size", [224, 112])
    def test_bilinear_is_within_a_grey_level_of_its_definition(self, shape, size):
        """A new pixel's centre lies between two old ones on each axis, which share it by distance."""
        image = noise(*shape)
        resized = resize_bilinear(image, size)
        assert (resized.shape, resized.dtype) == ((3, size, size), np.uint8)
        expected = image.astype(np.float64)
        for axis, length in enumerate(shape):
            centre = np.clip((np.arange(size) + 0.5) * (length / size) - 0.5, 0, length - 1)
            first = np.floor(centre).astype(int)
            share = np.expand_dims(centre - first, (1, 2) if axis == 0 else (0, 2))
            second = np.minimum(first + 1, length - 1)
            expected = expected.take(first, axis) * (1 - share) + expected.take(second, axis) * share
        assert np.abs(resized.transpose(1, 2, 0) - expected).max() <= 1

    @pytest.mark.parametrize("shape", SHAPES)
    def test_antialiased_is_the_resize_of_the_llp_scripts(self, shape):
        image = noise(*shape)
        expected = np.asarray(transforms.Resize((112, 112))(Image.fromarray(image)))
        np.testing.assert_array_equal(resize_antialiased(image, 112), expected.transpose(2, 0, 1))

    @pytest.mark.parametrize("shape", [*SHAPES, (1280, 720), (255, 257)])
    def test_crop_is_the_one_of_the_llp_scripts_within_a_grey_level(self, shape):
        image = noise(*shape)
        cropped = crop_antialiased(image, 224)
        assert (cropped.shape, cropped.dtype) == ((3, 224, 224), np.uint8)
        scripts = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
        expected = np.asarray(scripts(Image.fromarray(image))).transpose(2, 0, 1)
        assert np.abs(cropped.astype(int) - expected).max() <= 1

    def test_a_crop_keeps_the_centre_and_the_aspect_ratio(self):
        image = np.zeros((256, 512, 3), np.uint8)
        image[16:240, 144:368] = 200  # the central 224 × 224
        assert (crop_antialiased(image, 224) == 200).all()

    @pytest.mark.parametrize("resize", ["stretch", "stretch_antialiased"])
    def test_a_stretch_leaves_an_image_of_the_right_size_alone(self, resize):
        image = noise(224, 224)
        np.testing.assert_array_equal(RESIZES[resize](image, 224), image.transpose(2, 0, 1))

    @pytest.mark.parametrize("resize", RESIZES)
    def test_take_a_picture_that_was_turned(self, resize):
        image = np.rot90(noise(40, 60))
        turned, contiguous = (RESIZES[resize](array, 224) for array in (image, np.ascontiguousarray(image)))
        np.testing.assert_array_equal(turned, contiguous)
        assert turned.flags.c_contiguous

    def test_are_described_in_recipes_one_by_one(self):
        assert RESIZES.keys() == RESIZE_DESCRIPTIONS.keys()
        assert len(set(RESIZE_DESCRIPTIONS.values())) == len(RESIZES)


class TestFrameDecoder:
    @pytest.mark.parametrize("sampling", ["frames", "time"])
    def test_gives_a_frame_wanted_several_times_once(self, sampling, tmp_path, media):
        path = media.write(tmp_path / "clip.mp4", frame_rate=5, num_frames=15, audio_seconds=None)
        prepared = decoder(frames_per_segment=16, sampling=sampling)(path)
        assert (prepared.inputs.shape, prepared.inputs.dtype) == ((15, 3, 224, 224), np.uint8)
        # Five frames for sixteen samples.
        expected = np.arange(3)[:, None] * 5 + np.arange(16) * 5 // 16
        np.testing.assert_array_equal(prepared.rows, expected)

    def test_cuts_a_longer_file_by_time_and_squeezes_it_by_number(self, tmp_path, media):
        path = media.write(tmp_path / "clip.mp4", num_frames=150, audio_seconds=None)
        for sampling, numbers in {"time": [0, 25, 50], "frames": [0, 50, 100]}.items():
            prepared = decoder(sampling=sampling)(path)
            assert [media.number_in(image.transpose(1, 2, 0)) for image in prepared.inputs] == numbers
            assert prepared.seconds == pytest.approx(6.0)

    def test_masks_the_end_of_a_truncated_file(self, tmp_path, media):
        path = media.write(tmp_path / "clip.mp4", num_frames=75, audio_seconds=None)
        content = path.read_bytes()
        pictures = content.find(b"mdat")
        path.write_bytes(content[: pictures + int(0.5 * (len(content) - pictures))])
        prepared = decoder(frames_per_segment=4)(path)
        assert (prepared.rows[0] == [0, 1, 2, 3]).all()
        assert (prepared.rows[2] == NO_FRAME).all()
        assert segment_valid(prepared.rows).tolist() == [True, prepared.rows[1, 1] != NO_FRAME, False]
        assert prepared.reason == "truncated"
        assert prepared.detail.endswith(" of 75 frames")

    def test_refuses_to_number_fewer_frames_than_segments(self, tmp_path, media):
        path = media.write(tmp_path / "clip.mp4", frame_rate=1, num_frames=2, audio_seconds=None)
        with pytest.raises(MediaError, match="2 frames for 3 segments") as caught:
            decoder()(path)
        assert caught.value.reason == "too_short"
        assert segment_valid(decoder(sampling="time")(path).rows).tolist() == [True, True, False]

    @pytest.mark.parametrize(("resize", "size"), [("stretch", 64), ("stretch_antialiased", 112), ("crop", 224)])
    def test_resizes_as_it_is_told(self, resize, size, tmp_path, media):
        path = media.write(tmp_path / "clip.mp4", num_frames=75, audio_seconds=None, size=(160, 64))
        image = decoder(image_size=size, resize=resize)(path).inputs[0]
        assert image.shape == (3, size, size)
        others = [decoder(image_size=size, resize=other)(path).inputs[0] for other in RESIZES if other != resize]
        assert not any(np.array_equal(image, other) for other in others)

    def test_holds_plain_values_that_can_be_sent_to_a_process(self, tmp_path, media):
        path = media.write(tmp_path / "clip.mp4", num_frames=75, audio_seconds=None)
        sent = pickle.loads(pickle.dumps(decoder(resize="crop")))
        np.testing.assert_array_equal(sent(path).inputs, decoder(resize="crop")(path).inputs)


class TestSamplingOffset:
    """How far the frame chosen by number is from the one shown at that time."""

    def test_is_zero_where_a_segment_has_a_whole_number_of_frames(self, tmp_path, media):
        path = media.write(tmp_path / "clip.mp4", frame_rate=10, num_frames=100, audio_seconds=None)
        for frames_per_segment in (1, 5, 16):
            prepared = decoder(num_segments=10, frames_per_segment=frames_per_segment)(path)
            assert prepared.sampling_offset_seconds == 0

    def test_grows_with_the_part_of_a_frame_that_each_segment_loses(self, tmp_path, media):
        rate = Fraction(1758, 100)
        path = media.write(tmp_path / "clip.mp4", frame_rate=rate, num_frames=176, audio_seconds=None)
        # Segment 9 starts with frame 9 · 17 = 153 by number, and with frame int(9 · 17.58) = 158 by time.
        assert decoder(num_segments=10)(path).sampling_offset_seconds == pytest.approx(5 / 17.58, abs=1e-3)

    def test_is_large_where_the_rate_varies(self, tmp_path, media):
        times = [*np.arange(30) / 30, *1 + np.arange(10) / 5]  # most frames in the first of three seconds
        path = media.write(tmp_path / "clip.mp4", num_frames=40, timestamps=times, audio_seconds=None)
        # Segment 2 starts with frame 2 · 13 = 26, shown at 0.87 s.
        assert decoder()(path).sampling_offset_seconds == pytest.approx(2 - 26 / 30, abs=1e-3)

    def test_does_not_depend_on_the_sampling_that_is_used(self, tmp_path, media):
        path = media.write(tmp_path / "clip.mp4", num_frames=150, audio_seconds=None)
        offsets = {decoder(sampling=sampling)(path).sampling_offset_seconds for sampling in ("frames", "time")}
        assert offsets == {2.0}  # frame 100 instead of 50

    def test_is_unknown_where_frames_cannot_be_numbered(self, tmp_path, media):
        path = media.write(tmp_path / "clip.mp4", frame_rate=1, num_frames=2, audio_seconds=None)
        assert decoder(sampling="time")(path).sampling_offset_seconds is None
