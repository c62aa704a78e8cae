"""A model whose answers can be worked out by hand, and videos for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pipeline.extraction.worker
from models.localization.answers import GatedLocalization
from models.parsing.answers import Parsing
from pipeline.features.audio.patches import PatchDecoder
from pipeline.features.visual.frames import FrameDecoder
from pipeline.methods.settings import Gate
from pipeline.prediction.localization import events as localized
from pipeline.prediction.localization.events import LocalizedVideo
from pipeline.prediction.localization.reading import LocalizationReading
from pipeline.prediction.network import Model
from pipeline.prediction.parsing.events import ParsedVideo, Segment
from pipeline.prediction.parsing.reading import ParsingReading
from pipeline.training.checkpoints import Checkpoint

FRAME_RATE = 25
SIDE = 2  # of the visual map


class ReadingExtractor:
    """Stands for a visual network: the feature of a picture is the number that it holds, at every position."""

    modality, combine, storage, batch_size = "visual", "mean", np.dtype("float32"), 3
    feature_shape = (SIDE, SIDE, 1)
    device = torch.device("cpu")

    def __init__(self, decoder: FrameDecoder, number_in: Callable, weights: str) -> None:
        self.decoder, self._number_in = decoder, number_in
        self.recipe = {"weights": weights}

    def network(self, inputs: Tensor) -> Tensor:
        numbers = [self._number_in(image.permute(1, 2, 0).numpy()) for image in inputs]
        return torch.tensor(numbers, dtype=torch.float32)[:, None, None, None].expand(-1, *self.feature_shape)


class LoudnessExtractor:
    """Stands for an audio network: the feature of a patch is 1 where it is not silent."""

    modality, combine, storage, batch_size = "audio", "mean", np.dtype("float32"), 5
    feature_shape = (1,)
    device = torch.device("cpu")

    def __init__(self, decoder: PatchDecoder, weights: str) -> None:
        self.decoder = decoder
        self.recipe = {"weights": weights}

    def network(self, inputs: Tensor) -> Tensor:
        return (inputs.amax(dim=(1, 2)) > 0).float()[:, None]


class NumberNetwork(nn.Module):
    """Finds an event where a sounding picture's number, in seconds, is odd; the category tells the windows apart.

    The category is that of the window's first picture: the second from which it is, modulo C.
    """

    def __init__(self, num_categories: int) -> None:
        super().__init__()
        self.num_categories = num_categories

    def forward(self, visual: Tensor, audio: Tensor) -> GatedLocalization:
        seconds = (visual[:, :, 0, 0, 0] / FRAME_RATE).int()
        relevant = (seconds % 2 == 1) & (audio[:, :, 0] > 0)
        categories = nn.functional.one_hot(seconds[:, 0].long() % self.num_categories, self.num_categories)
        attention = nn.functional.one_hot(seconds.long() % SIDE**2, SIDE**2).to(visual)
        logits = torch.where(relevant, 2.0, -2.0)
        return GatedLocalization(
            event_logits=logits,
            category_logits=3.0 * categories.to(visual),
            clip_probabilities=categories.to(visual),
            fusion=visual,
            attention=attention,
        )


@pytest.fixture
def make_model(media: SimpleNamespace) -> Callable[..., Model]:
    """Return a maker of models that read the numbers in pictures: ``make_model(num_segments=4)``."""

    def make(
        *,
        num_segments: int = 4,
        sampling: str = "time",
        weights: str = "keras",
        categories: tuple[str, ...] = ("bell", "siren"),
    ) -> Model:
        frames = FrameDecoder(num_segments, 1.0, 1, sampling, 96)  # type: ignore[arg-type]
        checkpoint = Checkpoint(
            method="cpsp",
            supervision="full",
            network={},
            categories=list(categories),
            inputs={"visual_channels": 1, "num_positions": SIDE**2, "audio_features": 1},
            visual_recipe={},
            audio_recipe={},
            precision="float32",
            epoch=7,
            selected_on="val",
            score=50.0,
            seed=1,
        )
        return Model(
            path=Path("train/weights.safetensors"),
            sha256="0" * 64,
            checkpoint=checkpoint,
            network=NumberNetwork(len(categories)),
            reading=LocalizationReading(),
            visual=ReadingExtractor(frames, media.number_in, weights),  # type: ignore[arg-type]
            audio=LoudnessExtractor(PatchDecoder(num_segments, 1.0, "segment"), weights),  # type: ignore[arg-type]
            device=torch.device("cpu"),
            warnings=(),
        )

    return make


class SmallNetwork(nn.Module):
    """Stands for VGG19 or VGGish, with the shapes of theirs and seeded weights."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def init_random(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.normal_(parameter, 0.0, 0.1, generator=generator)

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.ndim == 3:
            inputs = inputs.flatten(1)
        return torch.relu(self.layer(inputs))

    def represent(self, inputs: Tensor) -> Tensor:
        outputs = self(inputs)
        return outputs.permute(0, 2, 3, 1) if outputs.ndim == 4 else outputs


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute features by networks of one layer: VGG19 takes a fifth of a second for a frame."""
    monkeypatch.setattr("models.backbones.vgg19.VGG19", lambda: SmallNetwork(nn.Conv2d(3, 512, 32, stride=32)))
    monkeypatch.setattr("pipeline.features.audio.extractor.VGGish", lambda: SmallNetwork(nn.Linear(96 * 64, 128)))


@pytest.fixture
def decode_in_test(decode_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in the process of the test."""
    monkeypatch.setattr("pipeline.prediction.judging.DecodePool", pipeline.extraction.worker.DecodePool)


@pytest.fixture
def make_prediction() -> Callable[..., LocalizedVideo]:
    """Return a maker of predictions: a letter per second, ``.`` background, ``x`` without sound, else a category."""
    names = {".": "background", "x": "background", "b": "bell", "s": "siren", "<": "<b>a & b\n--> $x_1$"}

    def make(path: Path, text: str) -> LocalizedVideo:
        segments = tuple(
            localized.Segment(
                start_seconds=float(number),
                end_seconds=number + 1.0,
                prediction=names[letter],
                relevance=None if letter == "x" else 0.25 if letter == "." else 0.75 + 0.01 * number,
                category=None if letter == "x" else "bell",
                category_probability=None if letter == "x" else 0.5,
                missing=("audio",) if letter == "x" else (),
            )
            for number, letter in enumerate(text)
        )
        attention = np.zeros((len(text), 49), np.float32)
        attention[:, 0] = 1  # the upper left corner
        return LocalizedVideo(path, float(len(text)), segments, (), attention)

    return make


class NumberParser(nn.Module):
    """Sees the first category where a picture's number, in seconds, is odd, and hears the second where it sounds.

    What is heard is a little less probable with every second; of the whole clip it is improbable in windows that begin
    with the fifth second. Where there is no picture, the number is 0.
    """

    def forward(self, visual: Tensor, audio: Tensor) -> Parsing:
        seconds = (visual[:, :, 0, 0, 0] / FRAME_RATE).int()
        nothing = torch.full_like(audio[:, :, 0], 0.1)
        seen = torch.where(seconds % 2 == 1, 0.9, 0.2)
        heard = torch.where(audio[:, :, 0] > 0, 0.9 - 0.01 * seconds, 0.3)
        of_clip = torch.tensor([0.1, 0.9]).expand(len(visual), 2)
        of_both = torch.where((seconds[:, 0] == 5)[:, None], torch.tensor([0.9, 0.4]), torch.tensor([0.9, 0.9]))
        return Parsing(
            segment_probabilities=torch.stack(
                [torch.stack([nothing, heard], dim=2), torch.stack([seen, nothing], dim=2)], dim=2
            ),
            audio_probabilities=of_clip,
            visual_probabilities=of_clip.flip(1),
            global_probabilities=of_both,
        )


@pytest.fixture
def make_parser(make_model: Callable[..., Model]) -> Callable[..., Model]:
    """Return a maker of models that parse the numbers in pictures: ``make_parser(gate="own")``."""

    def make(gate: Gate = "own", **settings: Any) -> Model:
        model = make_model(**settings)
        checkpoint = replace(model.checkpoint, method="mmil_psp", supervision="weak", inputs={})
        return replace(model, checkpoint=checkpoint, network=NumberParser(), reading=ParsingReading(gate))

    return make


@pytest.fixture
def make_parsed() -> Callable[..., ParsedVideo]:
    """Return a maker of predictions about the first two categories, of texts with a letter per second.

    ``make_parsed(path, heard="s.b", seen="x..")``: a category, ``2`` for both, ``.`` for nothing, ``x`` without sound,
    or picture. A probability is 0.7 and as many hundredths as seconds have passed, or 0.2 where nothing is there.
    """
    letters = {"b": (0,), "s": (1,), "2": (0, 1), ".": (), "x": ()}

    def make(
        path: Path, *, heard: str, seen: str, categories: tuple[str, ...] = ("bell", "siren"), warnings: tuple = ()
    ) -> ParsedVideo:
        segments = []
        for second, (of_sound, of_picture) in enumerate(zip(heard, seen, strict=True)):
            names = [tuple(categories[number] for number in letters[letter]) for letter in (of_sound, of_picture)]
            probabilities = [
                None
                if letter == "x"
                else tuple(0.7 + 0.01 * second if n in letters[letter] else 0.2 for n in range(len(categories)))
                for letter in (of_sound, of_picture)
            ]
            missing = tuple(
                modality for modality, letter in (("visual", of_picture), ("audio", of_sound)) if letter == "x"
            )
            segments.append(Segment(float(second), second + 1.0, *names, *probabilities, missing))
        return ParsedVideo(path, float(len(heard)), tuple(segments), warnings, categories)

    return make
