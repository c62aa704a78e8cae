"""An extractor of real frames that writes down which process of which node decodes, and fails as a test wants it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.features.decoding import Prepared
from pipeline.features.visual.frames import FrameDecoder


@dataclass(frozen=True)
class ClusterDecoder:
    """Decodes frames, in `seconds`, once `num_nodes` nodes do; the video or node `slow` once `num_others` are begun.

    Frames of the video `white` are white. `log` gets a line ``node pid video`` for each that is begun.
    """

    node: str
    log: Path
    seconds: float
    num_nodes: int
    white: str
    slow: str
    num_others: int

    def __call__(self, path: Path) -> Prepared:
        with self.log.open("a") as log:
            log.write(f"{self.node} {os.getpid()} {path.stem}\n")
        for _ in range(1200):
            begun = [line.split() for line in self.log.read_text().splitlines()]
            has_others = self.slow not in (path.stem, self.node) or len(begun) > self.num_others
            if has_others and len({node for node, *_ in begun}) >= self.num_nodes:
                break
            time.sleep(0.05)
        time.sleep(self.seconds)
        decode = FrameDecoder(
            num_segments=2, segment_seconds=1.0, frames_per_segment=2, sampling="frames", image_size=32
        )
        prepared = decode(path)
        if path.stem == self.white:
            prepared.inputs[:] = 255
        return prepared


class ClusterExtractor:
    """A network of one layer; `on_white` is what white frames do to it: ``die``, ``fault`` or ``not finite``."""

    modality, weights_sha256, code = "visual", "random:1", "0123"
    combine, feature_shape, batch_size = "mean", (2048,), 4
    storage = np.dtype("float16")

    def __init__(
        self,
        device: torch.device,
        *,
        log: Path,
        seconds: float = 0.0,
        num_nodes: int = 1,
        white: str = "",
        slow: str = "",
        num_others: int = 0,
        on_white: str = "",
    ) -> None:
        self.device, self.recipe, self._on_white = device, {"num_segments": 2}, on_white
        node = "here"
        if "RAY_JOB_ID" in os.environ:
            import ray

            node = ray.get_runtime_context().get_node_id()
            assert torch.get_num_threads() == 1
        self.decoder = ClusterDecoder(node, log, seconds, num_nodes, white, slow, num_others)
        self._kernels = torch.rand(32, 3, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5

    def network(self, inputs: torch.Tensor) -> torch.Tensor:
        is_white = bool((inputs == 255).flatten(1).all(1).any())
        if is_white and self._on_white == "die":
            os._exit(9)
        if is_white and self._on_white == "fault":
            raise KeyError("a fault of the program")
        maps = torch.conv2d(inputs.float() / 255, self._kernels, stride=4, padding=2).relu().flatten(1)
        return maps / 0 if is_white and self._on_white == "not finite" else maps
