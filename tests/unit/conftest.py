"""A small prepared data set with features, so that training and evaluation are tested without any video."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.core.files import sha256_of_file
from pipeline.features.recipes import audio_recipe, visual_layout, visual_recipe
from pipeline.params.schema import Params, params_of_task
from pipeline.store.manifest import BACKGROUND, Clip, Manifest, VideoFile
from pipeline.store.parsing_manifest import ParsedClip, ParsingManifest
from pipeline.store.shards import ShardFile, ShardIndex, ShardRow, write_shard

ROOT = Path(__file__).resolve().parents[2]
CATEGORIES = ("bell", "siren", "truck")
NUM_SEGMENTS = 10


def params_with(preset: str, changes: dict[str, object]) -> Params:
    content = YAML(typ="safe", pure=True).load(ROOT / "data" / preset / "preset.yaml")
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = content
        for section in sections:
            place = place[section]
        assert last in place, key
        place[last] = value
    return params_of_task(content).model_validate(content)


@pytest.fixture
def make_params() -> Callable[..., Params]:
    """Return the embedded data set's params with some values replaced: ``make_params(**{"train.seed": 3})``."""
    return lambda **changes: params_with("synthetic", changes)


@pytest.fixture
def make_parsing_params() -> Callable[..., Params]:
    """Return the params of the embedded data set of parsing, for features that are vectors, likewise."""
    return lambda **changes: params_with("synthetic_parsing", {"visual.backbone": "resnet152_pooled", **changes})


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
        Manifest(tuple(clips), list_videos(clips), CATEGORIES).save(folder / "prepared")
        write_features(folder / "features", make_params(**{"visual.backbone": backbone}), visual, audio, shard_size)
        return folder

    return make


@pytest.fixture
def make_parsing_run(
    tmp_path: Path, make_parsing_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Return a function that writes ``prepared/`` and ``features/`` of a learnable parsing data set into a folder.

    Each clip has one category that is heard, and one, mostly another, that is seen; ``changes`` are of the params that
    the features are of, ``without_audio`` and ``masked`` as of :func:`make_run`.
    """
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))

    def make(
        *,
        num_clips: int = 24,
        without_audio: tuple[str, ...] = (),
        masked: dict[str, int] | None = None,
        num_timed: int = 0,
        **changes: object,
    ) -> Path:
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        generator = np.random.default_rng(0)
        params = make_parsing_params(**changes)
        feature_shape = visual_layout(params.visual).feature_shape
        clips, visual, audio = [], [], []
        for number in range(num_clips):
            clip_id = f"clip{number:02d}"
            split = ("train", "train", "val", "test")[number // 6 % 4]
            seen, heard = number % len(CATEGORIES), number // 2 % len(CATEGORIES)
            pictures = generator.random((NUM_SEGMENTS, math.prod(feature_shape)), np.float32)
            sound = generator.random((NUM_SEGMENTS, 128), np.float32)
            masks = np.zeros((2, NUM_SEGMENTS), bool)
            for mask in masks:
                start = int(generator.integers(0, 6))
                mask[start : start + 5] = True
            sound[masks[0], 10 * heard : 10 * heard + 10] += 2
            pictures[masks[1], 100 * seen : 100 * seen + 100] += 2
            events = [
                {CATEGORIES[name]: "".join("01"[int(flag)] for flag in mask)}
                for name, mask in zip((heard, seen), masks, strict=True)
            ]
            if split == "train" and number >= num_timed:
                events = [None, None]
            tags = tuple(dict.fromkeys((CATEGORIES[heard], CATEGORIES[seen])))
            clips.append(ParsedClip(clip_id, clip_id, f"videos/{clip_id}.mp4", tags, *events, split))
            valid, sha256 = np.ones(NUM_SEGMENTS, bool), f"{number:064x}"
            stored = pictures.astype(np.float16).reshape(NUM_SEGMENTS, *feature_shape)
            visual.append(ShardRow(clip_id, sha256, stored, valid))
            if clip_id not in without_audio:
                has_sound = valid.copy()
                if masked and clip_id in masked:
                    has_sound[masked[clip_id]] = False
                    sound[masked[clip_id]] = 0
                audio.append(ShardRow(clip_id, sha256, sound, has_sound))
        ParsingManifest(tuple(clips), list_videos(clips), CATEGORIES).save(folder / "prepared")
        write_features(folder / "features", params, visual, audio, 256)
        return folder

    return make


def list_videos(clips: Sequence[Clip | ParsedClip]) -> tuple[VideoFile, ...]:
    return tuple(VideoFile(clip.video_id, clip.path, 1, f"{i:064x}") for i, clip in enumerate(clips))


def write_features(
    folder: Path, params: Params, visual: Sequence[ShardRow], audio: Sequence[ShardRow], shard_size: int
) -> None:
    for modality, rows, recipe in (
        ("visual", visual, visual_recipe(params.visual, params.dataset)),
        ("audio", audio, audio_recipe(params.audio, params.dataset)),
    ):
        target = folder / modality
        entries = []
        for number, start in enumerate(range(0, len(rows), shard_size)):
            name, part = f"shard-{number:05d}.h5", rows[start : start + shard_size]
            write_shard(target / name, part, {"modality": modality})
            entries.append(ShardFile(name, sha256_of_file(target / name), len(part)))
        ShardIndex(modality, recipe, "random", len(rows), tuple(entries)).save(target)
