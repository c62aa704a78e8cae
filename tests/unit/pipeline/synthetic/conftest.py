from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.synthetic.plan import ClipPlan, Difficulty, MediaFormat, Source


def _make_plan(**changes) -> ClipPlan:
    plan = ClipPlan(
        video_id="syn-0000abc",
        split="train",
        sources=(Source("Siren", seen="1111110000", heard="0011110011"),),
        difficulty=Difficulty(
            object_heights=(0.5, 0.78), background_greys=(0.25, 0.8), clutter=(4, 12), sound_to_noise_db=(5.0, 18.0)
        ),
        media=MediaFormat(width=64, height=48, sample_rate_hz=16000, num_channels=1),
        awkward="",
        seed=5,
    )
    return replace(plan, **changes)


def _decode(path: Path) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Return all frames and the sound (num_channels, num_samples) of a sound file."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return frames, None
        return frames, np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


@pytest.fixture(scope="session")
def make_plan() -> Callable[..., ClipPlan]:
    return _make_plan


@pytest.fixture(scope="session")
def decode() -> Callable[[Path], tuple[list[np.ndarray], np.ndarray | None]]:
    return _decode
