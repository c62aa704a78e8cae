"""Where the golden vectors are, and how their networks get their weights.

The set is the copy in ``vectors/``, unless ``AVEL_GOLDEN_DIR`` names the folder of another. The second set (initial
weights, methods with a recipe of their own) is read from the folder that ``AVEL_GOLDEN_MORE_DIR`` names, by default
from beside the repository; its tests are skipped where it is not. Nothing about one particular set is written here:
seeds, hashes, thresholds, sizes and the list of cases come from its files, so that another set of the same layout can
take its place.
"""

import hashlib
import inspect
import io
import json
import lzma
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
from torch import nn

from models.localization.avel import AVELNet
from models.localization.avsdn import AVSDNNet
from models.localization.cmran import CMRANNet
from models.localization.psp import PSPNet
from models.localization.released import translate

GOLDEN_DIR = Path(os.environ.get("AVEL_GOLDEN_DIR", Path(__file__).parent / "vectors"))
GOLDEN_MORE_DIR = Path(
    os.environ.get("AVEL_GOLDEN_MORE_DIR", Path(__file__).parents[2].parent / "shared" / "golden_more")
)

PSP_LOSSES = {"avps_loss", "segment_contrastive_loss", "video_contrastive_loss", "label_free_nce", "vcon_info_loss"}
POOLINGS = {"avg": "mean", "max": "max"}
NETWORKS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    r"\w*psp_net": (PSPNet, {}),
    r"TBMRF_Net": (AVELNet, {}),
    r"avsdn_net": (AVSDNNet, {}),
    r"supv_main_model": (CMRANNet, {"interaction_heads": 4}),
    r"weak_main_model": (CMRANNet, {"interaction_heads": 2}),
}
"""Released classes by pattern, to ours and what the class itself settles. Those of the parsing code have none."""
READS_MAPS = re.compile(r"(affine_video|^(module\.)?v_fc)\.weight$")
"""The layer of a released network that the visual maps enter, each position as a row of channels."""


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

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        """Return the state dict that ``<name>.json`` describes, under the released names."""
        spec = self.json(name)
        return self.generate(spec["params"], seed=spec["seed"], prefix=spec["prefix"], sha256=spec["weights_sha256"])

    def inputs(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the maps, channels last, and the audio that the model ``<name>.json`` was run on, float64."""
        spec = self.json(name)
        (channels,) = (param["shape"][1] for param in spec["params"] if READS_MAPS.search(param["key"]))
        arrays = self.arrays("inputs")
        visual, audio = (torch.from_numpy(arrays[entry.split()[0]]).double() for entry in spec["inputs"])
        return (visual if visual.shape[-1] == channels else visual.movedim(2, -1)), audio


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
    return Golden(GOLDEN_DIR)


@pytest.fixture(scope="session")
def golden_more() -> Golden:
    """Return the second set of golden vectors."""
    if not (GOLDEN_MORE_DIR / "manifest.json").is_file():
        pytest.skip("the second set of golden vectors is not here; AVEL_GOLDEN_MORE_DIR names its folder")
    return Golden(GOLDEN_MORE_DIR)


def network_class(spec: dict[str, Any]) -> tuple[type[nn.Module], dict[str, Any]] | None:
    """Return our class for a model of the set and what its class settles, or None if we have no such network."""
    return next((ours for theirs, ours in NETWORKS.items() if re.fullmatch(theirs, spec["upstream_class"])), None)


@pytest.fixture(scope="session")
def released_network(golden: Golden) -> Callable[..., nn.Module]:
    """Return a function that builds our network with the released weights of a model of the set, dropout off."""
    weights = cache(lambda name: golden.weights(f"models/{name}"))
    sizes = cache(lambda name: [tensor.shape for tensor in golden.inputs(f"models/{name}")])

    def build(name: str, *, pooling: str | None = None, dtype: torch.dtype = torch.float64) -> nn.Module:
        spec = golden.json(f"models/{name}")
        given = spec["constructor"]
        ours, settings = network_class(spec)
        accepted = inspect.signature(ours).parameters
        if "tau" in accepted:
            settings = settings | {"tau": given["thr_val"]}
        if "pooling" in accepted:
            settings = settings | {"pooling": pooling or POOLINGS[given.get("pooling_type", "avg")]}
        (_, _, height, width, channels), (_, _, audio_features) = sizes(name)
        network = ours(
            num_categories=given["category_num"],
            visual_channels=channels,
            audio_features=audio_features,
            num_positions=height * width,
            **settings,
        )
        translated = translate(weights(name), network)
        assert translated.missing == []
        assert translated.mismatched == []
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
    networks = {name: ours[0] for name, spec in models.items() if (ours := network_class(spec))}
    if kind == "network":
        return list(networks)
    if kind == "scrambled":
        return [name for name in networks if any(key.startswith("quirk_") for key in golden.arrays(f"models/{name}"))]
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
    return [name for name, run in golden.json("train").items() if networks.get(run["model"]) is PSPNet]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once per case of the set, whose kind the argument names: ``network_case``, ``loss_case`` …"""
    for kind in ("network", "scrambled", "block", "loss", "training"):
        if f"{kind}_case" in metafunc.fixturenames:
            metafunc.parametrize(f"{kind}_case", cases(kind))
