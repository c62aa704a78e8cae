"""From trained weights to everything that is needed to use them: the recipes of their features, and the network."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from pipeline.core.errors import CheckpointError, WeightsError, explain
from pipeline.core.files import sha256_of_file
from pipeline.core.fingerprints import fingerprint
from pipeline.features.audio.extractor import AudioExtractor
from pipeline.features.audio.patches import PatchDecoder
from pipeline.features.contract import AnyExtractor
from pipeline.features.decoding import Decoder
from pipeline.features.recipes import SNIPPET, audio_recipe, visual_layout, visual_recipe
from pipeline.features.visual.extractor import visual_extractor
from pipeline.features.visual.frames import FrameDecoder
from pipeline.features.visual.snippets import SnippetDecoder
from pipeline.methods.registry import METHODS
from pipeline.methods.settings import GateChoice, Task
from pipeline.params.schema import AudioParams, DatasetParams, VisualParams
from pipeline.prediction.contract import Reading
from pipeline.prediction.decoding import WindowFrameDecoder
from pipeline.prediction.tasks import reading_class
from pipeline.training.checkpoints import SELECTIONS, Checkpoint, load_checkpoint

RANDOM = "random:"
FILE = "sha256:"
MOTION_OPTION = "--motion-weights"

AVE_RELEASE: dict[str, dict[str, Any]] = {
    "visual": {
        "backbone": "vgg19",
        "weights": "keras",
        "sampling": "frames",
        "frames_per_segment": 16,
        "combine": "mean",
        "precision": "float32",
    },
    "audio": {"weights": "torchvggish", "alignment": "segment", "postprocess": "none (after the final ReLU)"},
}
"""How the features that AVE's authors released were made, as far as is known: docs/features.md."""

LLP_RELEASE: dict[str, dict[str, Any]] = {
    "visual": {
        "backbone": "resnet152_pooled",
        "weights": "torchvision",
        "sampling": "time",
        "frames_per_segment": 8,
        "combine": "stack",
        "precision": "float32",
        "motion": {"backbone": "r2plus1d_18", "weights": "torchvision"},
    },
    "audio": AVE_RELEASE["audio"],
}
"""Likewise of LLP; how its sound was cut is not known, so that it is cut as AVE's was."""

RELEASES: Mapping[Task, tuple[str, dict[str, dict[str, Any]]]] = {
    "localization": ("AVE", AVE_RELEASE),
    "parsing": ("LLP", LLP_RELEASE),
}
"""How the released features of a task are made again: a data set's name, and the recipes of its features."""


@dataclass(frozen=True)
class WeightFiles:
    """Local files that a recipe names by their hash alone."""

    visual: Path | None = None
    audio: Path | None = None
    pca: Path | None = None
    motion: Path | None = None


@dataclass(frozen=True)
class FeatureParams:
    """What a checkpoint's recipes stand for."""

    visual: VisualParams
    audio: AudioParams
    dataset: DatasetParams


@dataclass(frozen=True)
class Model:
    """Trained weights, ready to use.

    Parameters
    ----------
    path : Path
        The file of the weights.
    sha256 : str
        Of that file.
    checkpoint : Checkpoint
    network : torch.nn.Module
    reading : Reading
        Of the network's answers.
    visual, audio : Extractor
    device : torch.device
    warnings : tuple of str
        What is to be known about the features; a line each.
    """

    path: Path
    sha256: str
    checkpoint: Checkpoint
    network: nn.Module
    reading: Reading
    visual: AnyExtractor
    audio: AudioExtractor
    device: torch.device
    warnings: tuple[str, ...]

    @property
    def frames(self) -> FrameDecoder:
        """The decoder of a clip's frames."""
        decoder = self.visual.decoder
        frames = decoder.frames if isinstance(decoder, SnippetDecoder) else decoder
        assert isinstance(frames, FrameDecoder)
        return frames

    def decoder_of_windows(self, first_window: int, num_windows: int) -> Decoder:
        """Return the decoder of the visual inputs of some windows, see :class:`.WindowFrameDecoder`."""
        windows = WindowFrameDecoder(self.frames, first_window, num_windows)
        decoder = self.visual.decoder
        return replace(decoder, frames=windows) if isinstance(decoder, SnippetDecoder) else windows

    @property
    def patches(self) -> PatchDecoder:
        """The decoder of a clip's sound."""
        assert isinstance(self.audio.decoder, PatchDecoder)
        return self.audio.decoder

    @property
    def num_segments(self) -> int:
        """T, of a window."""
        return self.frames.num_segments

    @property
    def segment_seconds(self) -> float:
        """Length of a segment."""
        return self.frames.segment_seconds

    @property
    def notice(self) -> str:
        """Why the predictions say nothing; empty where they may."""
        names = {
            "visual": self.visual.recipe["weights"],
            "motion": self.visual.recipe.get("motion", {}).get("weights", ""),
            "audio": self.audio.recipe["weights"],
            "PCA of audio": self.audio.recipe.get("pca_weights", ""),
        }
        random = [name for name, weights in names.items() if weights.startswith(RANDOM)]
        if not random:
            return ""
        return (
            f"Random network weights ({', '.join(random)}): these predictions show that the pipeline works; "
            "they say nothing about the videos."
        )

    def facts(self) -> dict[str, Any]:
        """Return what is written beside predictions: JSON values."""
        checkpoint = self.checkpoint
        return {
            "file": str(self.path),
            "sha256": self.sha256,
            "method": checkpoint.method,
            "supervision": checkpoint.supervision,
            "epoch": checkpoint.epoch,
            "seed": checkpoint.seed,
            "precision": checkpoint.precision,
            "categories": checkpoint.categories,
            "num_segments": self.num_segments,
            "segment_seconds": self.segment_seconds,
            "visual_weights": self.visual.recipe["weights"],
            **({"motion_weights": motion["weights"]} if (motion := self.visual.recipe.get("motion")) else {}),
            "visual_recipe": fingerprint(self.visual.recipe),
            "audio_weights": self.audio.recipe["weights"],
            "audio_recipe": fingerprint(self.audio.recipe),
            **self.reading.facts,
        }


def weights_file(path: Path) -> Path:
    """Return the file of weights that a model's path means: of a train stage's folder, those selected on validation."""
    return path / SELECTIONS["val"] if path.is_dir() else path


def load_model(path: Path, files: WeightFiles, device: torch.device, gate: GateChoice = "authors") -> Model:
    """Read trained weights and build the networks of their features.

    Parameters
    ----------
    path : Path
        Output folder of the train stage, of which the epoch selected on validation is taken, or a file of weights.
    files : WeightFiles
        For each recipe that names weights by their hash, that file.
    device : torch.device
    gate : {"authors", "global", "own"}, optional
        Of parsing: which prediction about a window gates its segments.

    Raises
    ------
    ParamsError
        If a gate is chosen for a model whose task has none.
    CheckpointError
        If the weights are missing or damaged, or their features cannot be computed from a video.
    WeightsError
        If weights of a feature network are missing, cannot be fetched, or are others than those of the recipe.
    """
    path = weights_file(path)
    checkpoint, network = load_checkpoint(path, device)
    reading = reading_class(checkpoint).of(METHODS[checkpoint.method], gate)
    warnings = [_released_warning(path, checkpoint)] if _is_released(checkpoint) else []
    params = feature_params(path, checkpoint, files)
    return Model(
        path=path,
        sha256=sha256_of_file(path),
        checkpoint=checkpoint,
        network=network,
        reading=reading,
        visual=visual_extractor(params.visual, params.dataset, device),
        audio=AudioExtractor(params.audio, params.dataset, device),
        device=device,
        warnings=tuple(warnings),
    )


def feature_params(path: Path, checkpoint: Checkpoint, files: WeightFiles) -> FeatureParams:
    """Return the params whose recipes are those of a checkpoint.

    Raises
    ------
    CheckpointError
        If there are none: another version of the pipeline made the features, or they do not fit the network.
    WeightsError
        As :func:`load_model`; nothing is fetched here.
    """
    recipes = {"visual": checkpoint.visual_recipe, "audio": checkpoint.audio_recipe}
    if _is_released(checkpoint):
        _, release = RELEASES[METHODS[checkpoint.method].task]
        recipes = {modality: {**recipe, **release[modality]} for modality, recipe in recipes.items()}
    params = params_of_recipes(path, recipes, files)
    if not _is_released(checkpoint):
        for modality, made in _recipes(params).items():
            _require_same(f"{path}, recipe of the {modality} features", recipes[modality], made)
    layout = visual_layout(params.visual)
    if unmet := reading_class(checkpoint).unmet(checkpoint.inputs, layout):
        raise CheckpointError(
            explain(
                f"{path}, visual features",
                expected=f"{unmet}, as the network was trained on",
                found=f"that {params.visual.backbone} makes features of shape {layout.feature_shape}",
                remedy="use weights that were trained on extracted features",
            )
        )
    return params


def params_of_recipes(path: Path, recipes: Mapping[str, Mapping[str, Any]], files: WeightFiles) -> FeatureParams:
    """Return the params that recipes of extracted features stand for, of one visual stream or of two.

    Parameters
    ----------
    path : Path
        The file of the weights, for errors.
    recipes : mapping
        Of ``visual`` and ``audio``.
    files : WeightFiles

    Raises
    ------
    CheckpointError
        If another version of the pipeline wrote the recipes.
    WeightsError
        As :func:`load_model`; nothing is fetched here.
    """
    try:
        params = FeatureParams(
            _visual_params(recipes["visual"], files), _audio_params(recipes["audio"], files), _dataset(recipes)
        )
        _recipes(params)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        found = "; ".join(str(error).split("\n")[:3]) if isinstance(error, ValidationError) else repr(error)
        raise CheckpointError(
            explain(path, expected="recipes of features as this version writes them", found=found, remedy="train again")
        ) from error
    return params


def _recipes(params: FeatureParams) -> dict[str, dict[str, Any]]:
    return {
        "visual": visual_recipe(params.visual, params.dataset),
        "audio": audio_recipe(params.audio, params.dataset),
    }


def _is_released(checkpoint: Checkpoint) -> bool:
    return "released" in (checkpoint.visual_recipe.get("source"), checkpoint.audio_recipe.get("source"))


def _released_warning(path: Path, checkpoint: Checkpoint) -> str:
    release = checkpoint.visual_recipe.get("release", "?")
    data_set, _ = RELEASES[METHODS[checkpoint.method].task]
    return (
        f"{path} was trained on features that the authors of {release!r} released; here they are computed as those of "
        f"{data_set} were, as far as is known (docs/features.md): close to them, not equal"
    )


def _visual_params(recipe: Mapping[str, Any], files: WeightFiles) -> VisualParams:
    motion = recipe.get("motion")
    if motion is None:
        _weights("none", files.motion, MOTION_OPTION)
    return VisualParams.model_validate(
        {
            **_network_params(recipe, files.visual, "--visual-weights"),
            "sampling": recipe["sampling"],
            "frames_per_segment": recipe["frames_per_segment"],
            "combine": "mean" if recipe["combine"] == SNIPPET else recipe["combine"],
            "motion": None if motion is None else _network_params(motion, files.motion, MOTION_OPTION),
            "precision": recipe["precision"],
            "storage": recipe["storage"],
            "max_failed_fraction": 1.0,
        }
    )


def _network_params(recipe: Mapping[str, Any], file: Path | None, option: str) -> dict[str, Any]:
    """Return the params of one stream's network."""
    weights = _weights(recipe["weights"], file, option)
    return {
        "backbone": recipe["backbone"],
        "weights": weights.name,
        "weights_sha256": weights.sha256,
        "weights_seed": weights.seed,
    }


def _audio_params(recipe: Mapping[str, Any], files: WeightFiles) -> AudioParams:
    weights = _weights(recipe["weights"], files.audio, "--audio-weights")
    pca = _weights(recipe.get("pca_weights", "none"), files.pca, "--pca-weights")
    return AudioParams.model_validate(
        {
            "weights": weights.name,
            "weights_sha256": weights.sha256,
            "weights_seed": weights.seed or pca.seed,
            "alignment": recipe["alignment"],
            "postprocess": "pca" if "pca_weights" in recipe else "none",
            "pca_weights": pca.name,
            "pca_sha256": pca.sha256,
            "storage": recipe["storage"],
            "max_failed_fraction": 1.0,
        }
    )


def _dataset(recipes: Mapping[str, Mapping[str, Any]]) -> DatasetParams:
    """Return the params of clips cut as those of the recipes; what concerns a data set's files is not used."""
    return DatasetParams.model_construct(
        num_segments=recipes["visual"]["num_segments"], segment_seconds=recipes["visual"]["segment_seconds"]
    )


@dataclass(frozen=True)
class _Weights:
    """The params that stand for weights in a recipe."""

    name: str
    seed: int = 0
    sha256: str | None = None


def _weights(recorded: str, file: Path | None, option: str) -> _Weights:
    """Return the params of the weights that a recipe calls ``random:<seed>``, by a name, or ``sha256:<hash>``."""
    if not recorded.startswith(FILE):
        if file is not None:
            raise WeightsError(
                explain(
                    option,
                    expected=f"no file, as the model's features are made with the weights {recorded!r}",
                    found=file,
                    remedy="leave it out",
                )
            )
        if recorded.startswith(RANDOM):
            return _Weights("random", int(recorded.removeprefix(RANDOM)))
        return _Weights(recorded)
    sha256 = recorded.removeprefix(FILE)
    found = "none" if file is None else f"no file {file}" if not file.is_file() else sha256_of_file(file)
    if file is None or not found.startswith(sha256):
        raise WeightsError(
            explain(
                option,
                expected=f"the file with SHA-256 {sha256}, which made the features that the model was trained on",
                found=found,
                remedy="name that file",
            )
        )
    return _Weights(str(file.absolute()), sha256=sha256)


def _require_same(subject: str, recorded: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    if recorded != made:
        key = next(key for key in [*recorded, *made] if recorded.get(key) != made.get(key))
        raise CheckpointError(
            explain(
                f"{subject}, {key}",
                expected=f"{made.get(key)!r}, which is what this version makes",
                found=repr(recorded.get(key)),
                remedy="train again, or use the version that trained it",
            )
        )
