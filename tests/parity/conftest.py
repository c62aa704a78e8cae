"""Where the golden vectors are, and how their networks get their weights.

The set is found by ``AVEL_GOLDEN_DIR``, by default ``../shared/golden`` beside the repository; without it every
parity test is skipped. Nothing about one particular set is written here: seeds, hashes, thresholds, sizes and
the list of cases come from its files, so that another set of the same layout can take its place.
"""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.psp import PSPNet
from models.released import translate

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN_DIR = Path(os.environ.get("AVEL_GOLDEN_DIR", REPOSITORY.parent / "shared" / "golden"))
ABSENT = f"no golden vectors at {GOLDEN_DIR}; set AVEL_GOLDEN_DIR to their folder"

PSP_NETWORK = re.compile(r"psp_net$")
PSP_LOSSES = {"avps_loss", "segment_contrastive_loss", "video_contrastive_loss", "label_free_nce"}
POOLINGS = {"avg": "mean", "max": "max"}


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

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of ``<name>.npz``."""
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as stored:
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

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        """Return the state dict that ``<name>.json`` describes, under the released names."""
        spec = self.json(name)
        return self.generate(spec["params"], seed=spec["seed"], prefix=spec["prefix"], sha256=spec["weights_sha256"])


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute on one thread: such small networks wait longer for a second one than it saves."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Return the folder of the golden vectors, or skip the test."""
    if not GOLDEN_DIR.is_dir():
        pytest.skip(ABSENT)
    return GOLDEN_DIR


@pytest.fixture(scope="session")
def golden(golden_dir: Path) -> Golden:
    """Return the set of golden vectors, or skip the test."""
    return Golden(golden_dir)


@pytest.fixture(scope="session")
def released_network(golden: Golden) -> Callable[..., PSPNet]:
    """Return a function that builds our network with the released weights of a model of the set, dropout off."""
    weights = cache(lambda name: golden.weights(f"models/{name}"))

    def build(name: str, *, pooling: str | None = None, dtype: torch.dtype = torch.float64) -> PSPNet:
        spec = golden.json(f"models/{name}")
        settings = spec["constructor"]
        (map_shape,) = (param["shape"] for param in spec["params"] if param["key"].endswith("affine_video.weight"))
        network = PSPNet(
            num_categories=settings["category_num"],
            visual_channels=map_shape[1],
            tau=settings["thr_val"],
            pooling=pooling or POOLINGS[settings.get("pooling_type", "avg")],
        )
        translated = translate(weights(name), network.state_dict())
        assert translated.missing == []
        network.load_state_dict(translated.state)
        return network.to(dtype).eval()

    return build


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
def cases(kind: str) -> list[str]:
    """Return the names of the set's cases of one kind."""
    golden = Golden(GOLDEN_DIR)
    models = {path.stem: golden.json(f"models/{path.stem}") for path in sorted((GOLDEN_DIR / "models").glob("*.json"))}
    networks = [name for name, spec in models.items() if PSP_NETWORK.search(spec["upstream_class"])]
    if kind == "network":
        return networks
    if kind == "block":
        blocks = [name for name, spec in models.items() if spec["upstream_class"] == "PSP"]
        return [
            f"{name}:{match[1]}"
            for name in blocks
            for array in golden.arrays(f"models/{name}")
            if (match := re.fullmatch(r"thr(.+)\.fusion", array))
        ]
    if kind == "loss":
        return [name for name, case in golden.json("losses").items() if case["function"] in PSP_LOSSES]
    return [name for name, run in golden.json("train").items() if run["model"] in networks]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once per case of the set: ``network_case``, ``block_case``, ``loss_case``, ``training_case``."""
    for kind in ("network", "block", "loss", "training"):
        if f"{kind}_case" in metafunc.fixturenames:
            absent = pytest.param("", marks=pytest.mark.skip(reason=ABSENT))
            metafunc.parametrize(f"{kind}_case", cases(kind) if GOLDEN_DIR.is_dir() else [absent])
