"""Where the golden vectors are, and how their networks get their weights.

The set is the copy in ``vectors/``, unless ``AVEL_GOLDEN_DIR`` names the folder of another. The second set (initial
weights, methods with a recipe of their own) is read from the folder that ``AVEL_GOLDEN_MORE_DIR`` names, by default
from beside the repository; its tests are skipped where it is not. Nothing about one particular set is written here:
seeds, hashes, thresholds, sizes and the list of cases come from its files, so that another set of the same layout can
take its place.
"""

import hashlib
import io
import json
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from avel_testing.counterparts import PARSING, find_counterpart, join_streams, load_counterpart, visual_sizes
from models.localization.psp import PSPNet

GOLDEN_DIR = Path(os.environ.get("AVEL_GOLDEN_DIR", Path(__file__).parent / "vectors"))
GOLDEN_MORE_DIR = Path(
    os.environ.get("AVEL_GOLDEN_MORE_DIR", Path(__file__).parents[2].parent / "shared" / "golden_more")
)

LOSSES = {
    "loss": {"avps_loss", "segment_contrastive_loss", "video_contrastive_loss", "label_free_nce", "vcon_info_loss"},
    "smoothing": {"label_smoothing_loss"},
    "clip_contrast": {"vcon_info_loss"},
}
"""Released losses by the kind of their cases: those of PSP and CPSP, and in the parsing code two of its own."""
PARSING_INPUTS = ["avvp_audio", "avvp_visual", "avvp_visual_st"]
"""What models that parse are run on, also where their description does not say so."""
LABEL_ARRAYS = {"segment_labels", "labels_weak29", "avps_target", "avps_target_float32"}
"""Labels in the records of trainings, and what is made of them."""
HAS_SECOND_SET = (GOLDEN_MORE_DIR / "manifest.json").is_file()
NO_SECOND_SET = "the second set of golden vectors is not here; AVEL_GOLDEN_MORE_DIR names its folder"


class Golden:
    """A set of golden vectors.

    Attributes
    ----------
    relative, absolute : float
        Tolerances for double precision.
    float32_factor : int
        By how much a single-precision run may exceed the deviation recorded in the set.
    """

    relative = 1e-9
    absolute = 1e-9
    float32_factor = 10

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cache  # noqa: B019 -- one set lives as long as the session
    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of ``<name>.npz``, or of ``<name>.npz.xz``, which is the same file compressed."""
        path = self.folder / f"{name}.npz"
        file = path if path.is_file() else io.BytesIO(lzma.decompress(path.with_name(f"{path.name}.xz").read_bytes()))
        with np.load(file, allow_pickle=False) as stored:
            return dict(stored)

    def json(self, name: str) -> dict[str, Any]:
        """Return the content of ``<name>.json``."""
        return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))

    def generate(self, params: list[dict[str, Any]], *, seed: int, prefix: str, sha256: str) -> dict[str, torch.Tensor]:
        """Generate parameters from their names, float32, and check their hash before anyone uses them."""
        digest = hashlib.sha256()
        generated = {}
        for param in params:
            hashed = zlib.crc32(param["key"].removeprefix(prefix).encode())
            drawn = np.random.default_rng(hashed ^ seed).standard_normal(param["shape"])
            drawn *= param["scale"]
            drawn += param["offset"]
            values = drawn.astype("<f4")
            digest.update(values)
            generated[param["key"]] = torch.from_numpy(values)
        assert digest.hexdigest() == sha256, "NumPy draws other random numbers than those the set was made with"
        return generated

    @lru_cache(maxsize=2)  # noqa: B019 -- they are large, and a model's tests run one after the other
    def weights(self, name: str) -> dict[str, torch.Tensor]:
        """Return the state dict that ``<name>.json`` describes, under the released names."""
        spec = self.json(name)
        return self.generate(spec["params"], seed=spec["seed"], prefix=spec["prefix"], sha256=spec["weights_sha256"])

    def inputs(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the visual features, channels last, and the audio of the model ``<name>.json``, float64."""
        spec = self.json(name)
        arrays = self.arrays("inputs")
        read = [torch.from_numpy(arrays[entry.split()[0]]).double() for entry in spec.get("inputs", PARSING_INPUTS)]
        if PARSING.fullmatch(spec["model"]):
            return join_streams(*read)
        audio, visual = sorted(read, key=torch.Tensor.dim)
        is_last = visual.shape[-1] == visual_sizes(spec)["visual_channels"]
        return (visual if is_last else visual.movedim(2, -1)), audio

    def models(self) -> list[str]:
        """Return the names of the models that we have a network for."""
        names = sorted(path.stem for path in (self.folder / "models").glob("*.json"))
        return [name for name in names if find_counterpart(name)]

    def answered(self) -> list[str]:
        """Return the names of those whose answers are in the set: of some there are the trainings alone."""
        return [name for name in self.models() if next((self.folder / "models").glob(f"{name}.npz*"), None)]


@dataclass(frozen=True)
class ReleasedModel:
    """A model of a set that we have a network for."""

    golden: Golden
    name: str

    @property
    def parses(self) -> bool:
        """Whether it parses videos, and sees vectors instead of maps."""
        return bool(PARSING.fullmatch(self.name))

    @property
    def spec(self) -> dict[str, Any]:
        """Its description."""
        return self.golden.json(f"models/{self.name}")

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What it answered, and the steps on the way."""
        return self.golden.arrays(f"models/{self.name}")

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Its weights under their released names."""
        return self.golden.weights(f"models/{self.name}")

    def inputs(self, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the visual features, channels last, and the audio that it was run on."""
        visual, audio = self.golden.inputs(f"models/{self.name}")
        return visual.to(dtype), audio.to(dtype)

    def build(self, dtype: torch.dtype = torch.float64, **settings: Any) -> nn.Module:
        """Build our network with its weights, dropout off."""
        visual, audio = self.inputs()
        sizes = {"audio_features": audio.shape[-1]}
        if not self.parses:
            sizes["num_positions"] = visual.shape[2] * visual.shape[3]
        return load_counterpart(self.name, self.spec, self.weights, **sizes, **settings).to(dtype)


@dataclass(frozen=True)
class ReleasedTraining:
    """A training of a set.

    Attributes
    ----------
    golden : Golden
    name : str
    """

    golden: Golden
    name: str

    @property
    def case(self) -> dict[str, Any]:
        """What it was run with."""
        return self.golden.json("train")[self.name]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What was recorded of it."""
        return self.golden.arrays(self.name)

    @property
    def model(self) -> ReleasedModel:
        """The model that it started from."""
        return ReleasedModel(self.golden, self.case["model"])


def parsing_trainings(golden: Golden) -> list[ReleasedTraining]:
    """Return the trainings of a set whose models parse."""
    return [ReleasedTraining(golden, name) for name, run in golden.json("train").items() if PARSING.match(run["model"])]


FIRST_SET, SECOND_SET = Golden(GOLDEN_DIR), Golden(GOLDEN_MORE_DIR)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute on one thread: such small networks wait longer for a second one than it saves."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="session")
def golden() -> Golden:
    """Return the set of golden vectors."""
    return FIRST_SET


@pytest.fixture(scope="session")
def golden_more() -> Golden:
    """Return the second set of golden vectors."""
    if not HAS_SECOND_SET:
        pytest.skip(NO_SECOND_SET)
    return SECOND_SET


@pytest.fixture(scope="session")
def released_network(golden: Golden) -> Callable[[str], nn.Module]:
    """Return a function that builds our network with the released weights of a model of the set, dropout off."""
    return lambda name: ReleasedModel(golden, name).build()


def derive_event_flags(scores: np.ndarray) -> dict[str, np.ndarray]:
    """Return which segments (B, T) hold an event, truncating scores, and which pairs of them are contrasted."""
    flags = scores.astype(np.int64)
    return {
        "event_flag": flags,
        "pos_flag": flags[:, :, None] * flags[:, None, :],
        "neg_flag": flags[:, :, None] * (1 - flags[:, None, :]),
    }


def derive_released_labels(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the released code makes of labels (B, T, C + 1), background last, under its names.

    The category of a clip is the largest index among its segments, so that a clip of background gets category 0.
    """
    foreground = labels[:, :, :-1]
    is_event = foreground.max(axis=2).astype(np.float64)
    segment_categories = foreground.argmax(axis=2)
    return {
        "labels_BCE": is_event,
        "labels_evn": segment_categories,
        "labels_event": segment_categories.max(axis=1),
        "soft_labels": is_event / (is_event.sum(axis=1, keepdims=True) + 1e-6),
        **derive_event_flags(is_event),
    }


@pytest.fixture(scope="session")
def event_flags() -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return :func:`derive_event_flags`."""
    return derive_event_flags


@pytest.fixture(scope="session")
def released_labels() -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return :func:`derive_released_labels`."""
    return derive_released_labels


@cache
def cases(kind: str) -> list[Any]:
    """Return the first set's cases of one kind: names, or models."""
    golden = FIRST_SET
    if kind == "network":
        return [ReleasedModel(golden, name) for name in golden.answered()]
    if kind == "map":
        return [model for model in cases("network") if not model.parses]
    if kind == "scrambled":
        return [model for model in cases("network") if any(array.startswith("quirk_") for array in model.arrays)]
    if kind == "block":
        names = sorted(path.stem for path in (GOLDEN_DIR / "models").glob("*.json"))
        return [
            f"{name}:{match[1]}"
            for name in names
            if golden.json(f"models/{name}")["upstream_class"] == "PSP"
            for array in golden.arrays(f"models/{name}")
            if (match := re.fullmatch(r"thr(.+)\.fusion", array))
        ]
    if kind == "parsing_training":
        return parsing_trainings(golden)
    if kind in LOSSES:
        return [name for name, case in golden.json("losses").items() if case["function"] in LOSSES[kind]]
    runs = golden.json("train").items()
    return [name for name, run in runs if (ours := find_counterpart(run["model"])) and ours.ours is PSPNet]


def kind_of_dropout(table: list[dict[str, Any]]) -> str:
    """Return what a table of dropout says: the layers that a module follows, shapes that enter parts, or modules."""
    if any("places" in entry for entry in table):
        return "layers"
    has_shapes = all("input_shape_at_batch_3" in entry for entry in table if entry["kind"] == "elementwise")
    return "parts" if has_shapes else "modules"


@cache
def further_cases(kind: str) -> list[Any]:
    """Return the second set's cases of one kind: names, or models."""
    golden = SECOND_SET
    models = [ReleasedModel(golden, name) for name in golden.models()]
    if kind == "network":
        return [model for model in models if model.name in golden.answered()]
    if kind == "map":
        return [model for model in further_cases("network") if not model.parses]
    if kind in ("layers", "parts", "modules"):
        return [model for model in models if "dropout" in model.spec and kind_of_dropout(model.spec["dropout"]) == kind]
    if kind == "parsing_training":
        return parsing_trainings(golden)
    if kind == "recipe":
        return [name for name, run in golden.json("train").items() if not PARSING.fullmatch(run["model"])]
    return [
        f"{case}:{array}" for case in further_cases("recipe") for array in golden.arrays(case) if array in LABEL_ARRAYS
    ]


OF_FIRST_SET = ("network", "map", "scrambled", "block", *LOSSES, "training", "parsing_training")
OF_SECOND_SET = ("network", "map", "parts", "layers", "modules", "recipe", "label", "parsing_training")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once per case of the sets, whose kind the argument names: ``network_case``, ``loss_case`` …

    The tests of a case run one after the other. Where the second set is not here, one skipped test says so.
    """
    for kind in dict.fromkeys(OF_FIRST_SET + OF_SECOND_SET):
        if f"{kind}_case" not in metafunc.fixturenames:
            continue
        found = list(cases(kind)) if kind in OF_FIRST_SET else []
        if kind in OF_SECOND_SET and HAS_SECOND_SET:
            found += further_cases(kind)
        elif kind in OF_SECOND_SET:
            found.append(pytest.param(None, marks=pytest.mark.skip(reason=NO_SECOND_SET), id="second set"))
        metafunc.parametrize(f"{kind}_case", found, ids=lambda case: getattr(case, "name", case), scope="module")
