"""An extractor that reads small JSON files, so that hundreds of runs take seconds."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.core.errors import MediaError
from pipeline.features.decoding import Prepared

NUM_SEGMENTS = 3


class JsonExtractor:
    """Reads ``{"values": …, "rows": …}`` as inputs and their use; the network doubles them.

    Parameters
    ----------
    seconds_per_video : float
        How long a file takes to decode.
    fail_at : str
        The file during whose network call a fault of the program happens.
    log : Path
        Gets a line per file that is decoded, also from other processes.
    """

    modality = "visual"
    weights_sha256 = "random:1"
    code = "0123456789abcdef"
    device = torch.device("cpu")
    combine = "mean"
    feature_shape = (2,)
    batch_size = 2

    def __init__(
        self, *, seconds_per_video: float = 0.0, fail_at: str = "", log: Path | None = None, **recipe: Any
    ) -> None:
        self.recipe = {"frames": 2, "num_segments": NUM_SEGMENTS, **recipe}
        self.storage = np.dtype(recipe.get("storage", "float16"))
        self.batches: list[int] = []
        self._seconds, self._fail_at, self._log = seconds_per_video, fail_at, log
        self.decoded: list[str] = []

    def decoder(self, path: Path) -> Prepared:
        time.sleep(self._seconds)
        self.decoded.append(path.name)
        if self._log:
            with self._log.open("a") as file:
                file.write(f"{path.name}\n")
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise MediaError("missing", f"{path.name}: no such file") from error
        except ValueError as error:
            raise MediaError("not_media", f"{path.name}: no JSON") from error
        inputs = np.array(content["values"], np.float32)
        if path.name == self._fail_at:
            inputs[0] = np.nan
        return Prepared(inputs, np.array(content["rows"]), content.get("reason", "ok"), 3.0, f"{len(inputs)} values")

    def network(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.isnan().any():
            raise RuntimeError("a fault of the program")
        self.batches.append(len(inputs))
        return torch.stack([inputs * 2, inputs * 2 + 1], 1)
