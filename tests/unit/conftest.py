"""A small prepared data set with features, so that training and evaluation are tested without any video."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.core.files import sha256_of_file
from pipeline.features.recipes import audio_recipe, visual_recipe
from pipeline.params.schema import Params, params_of_task
from pipeline.store.manifest import BACKGROUND, Clip, Manifest, VideoFile
from pipeline.store.shards import ShardFile, ShardIndex, ShardRow, write_shard

ROOT = Path(__file__).resolve().parents[2]
CATEGORIES = ("bell", "siren", "truck")
NUM_SEGMENTS = 10


@pytest.fixture
def make_params() -> Callable[..., Params]:
    """Return the embedded data set's params with some values replaced: ``make_params(**{"train.seed": 3})``."""

    def make(**changes: object) -> Params:
        content = YAML(typ="safe", pure=True).load(ROOT / "data/synthetic/preset.yaml")
        for key, value in changes.items():
            *sections, last = key.split(".")
            place = content
            for section in sections:
                place = place[section]
            assert last in place, key
            place[last] = value
        return params_of_task(content).model_validate(content)

    return make


@pytest.fixture
def make_run(
    tmp_path: Path, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Return a function that writes ``prepared/`` and ``features/`` of a learnable random data set into a folder.

    The category shifts some features of the event segments. ``without_audio`` names clips that the audio shards do
    not have, ``masked`` maps clips to segments without audio, ``untimed`` clips have a category and no times in the
    manifest. ``background`` clips of background alone come last.
    """
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))

    def make(
        *,
        num_clips: int = 24,
        without_audio: tuple[str, ...] = (),
        masked: dict[str, int] | None = None,
        seed: int = 0,
        channels: int = 8,
        backbone: str = "vgg19",
        events: dict[str, str] | None = None,
        untimed: tuple[str, ...] = (),
        background: int = 0,
        shard_size: int = 256,
    ) -> Path:
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        generator = np.random.default_rng(seed)
        clips, visual, audio = [], [], []
        for number in range(num_clips):
            clip_id = f"clip{number:02d}"
            start = int(generator.integers(0, 6))
            mask = np.zeros(NUM_SEGMENTS, bool)
            mask[start : start + 5] = True
            if events and clip_id in events:
                mask = np.array([character == "1" for character in events[clip_id]])
            category = number % len(CATEGORIES)
            split = ("train", "train", "val", "test")[number // len(CATEGORIES) % 4]
            text = "?" * NUM_SEGMENTS if clip_id in untimed else "".join("01"[int(flag)] for flag in mask)
            clips.append(Clip(clip_id, clip_id, f"videos/{clip_id}.mp4", CATEGORIES[category], text, split))
            maps = generator.random((NUM_SEGMENTS, 7, 7, channels), np.float32)
            sound = generator.random((NUM_SEGMENTS, 128), np.float32)
            maps[mask, :, :, category] += 2
            sound[mask, 10 * category : 10 * category + 10] += 2
            valid = np.ones(NUM_SEGMENTS, bool)
            visual.append(ShardRow(clip_id, f"{number:064x}", maps.astype(np.float16), valid))
            if clip_id not in without_audio:
                heard = valid.copy()
                if masked and clip_id in masked:
                    heard[masked[clip_id]] = False
                    sound[masked[clip_id]] = 0
                audio.append(ShardRow(clip_id, f"{number:064x}", sound, heard))
        for number in range(background):
            clip_id = f"background{number:02d}"
            clips.append(Clip(clip_id, clip_id, f"videos/{clip_id}.mp4", "", "0" * NUM_SEGMENTS, BACKGROUND))
            valid, sha256 = np.ones(NUM_SEGMENTS, bool), f"{num_clips + number:064x}"
            maps = generator.random((NUM_SEGMENTS, 7, 7, channels), np.float32).astype(np.float16)
            visual.append(ShardRow(clip_id, sha256, maps, valid))
            if clip_id not in without_audio:
                audio.append(ShardRow(clip_id, sha256, generator.random((NUM_SEGMENTS, 128), np.float32), valid))
        videos = tuple(VideoFile(clip.video_id, clip.path, 1, f"{i:064x}") for i, clip in enumerate(clips))
        Manifest(tuple(clips), videos, CATEGORIES).save(folder / "prepared")
        params = make_params(**{"visual.backbone": backbone})
        for modality, rows, recipe in (
            ("visual", visual, visual_recipe(params.visual, params.dataset)),
            ("audio", audio, audio_recipe(params.audio, params.dataset)),
        ):
            target = folder / "features" / modality
            entries = []
            for number, start in enumerate(range(0, len(rows), shard_size)):
                name, part = f"shard-{number:05d}.h5", rows[start : start + shard_size]
                write_shard(target / name, part, {"modality": modality})
                entries.append(ShardFile(name, sha256_of_file(target / name), len(part)))
            ShardIndex(modality, recipe, "random", len(rows), tuple(entries)).save(target)
        return folder

    return make
