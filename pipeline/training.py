"""One training loop for every method: exact to resume, selected on validation.

After every epoch the whole state (weights, optimiser, schedule, random generators, history, best weights) is
written to a scratch folder named by everything that determines the result. A killed run goes on after its last
finished epoch and ends in the same bytes; a finished one is only copied out. ``weights.safetensors`` is the epoch
with the best validation accuracy, the result; ``weights_test_selected.safetensors`` the one with the best test
accuracy, for comparison with code that reports that.
"""

import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dvclive import Live
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR
from tqdm import tqdm

from pipeline.annotations.manifest import SPLITS
from pipeline.checkpoints import Checkpoint, build_network, save_checkpoint
from pipeline.dataset import Clips, Dataset, LabelledClips
from pipeline.errors import TrainingError, explain
from pipeline.files import atomic_write, fingerprint, locked, scratch_folder, source_fingerprint, write_csv
from pipeline.metrics import predict_segments, segment_accuracy
from pipeline.objectives import FULL_TERMS, WEAK_TERMS, Losses, full_losses, weak_losses
from pipeline.params import FullParams, TrainParams, WeakParams

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "float64": torch.float64}
PREDICTION_BATCH_SIZE = 64
DIGEST_BYTES = 32  # of SHA-256, in front of a saved state
SELECTIONS = {"val": "weights.safetensors", "test": "weights_test_selected.safetensors"}
CODE = (
    "models/attention.py",
    "models/heads.py",
    "models/losses.py",
    "models/propagation.py",
    "models/psp.py",
    "models/shapes.py",
    "models/temporal.py",
    "pipeline/checkpoints.py",
    "pipeline/dataset.py",
    "pipeline/metrics.py",
    "pipeline/objectives.py",
    "pipeline/training.py",
)


@dataclass(frozen=True)
class Outputs:
    """What the network says about the clips of a split: event logits (N, T), category logits (N, C)."""

    event_logits: np.ndarray
    category_logits: np.ndarray


@torch.inference_mode()
def predict(network: nn.Module, clips: Clips, *, device: torch.device, dtype: torch.dtype) -> Outputs:
    """Run the network over clips, in their order, without dropout."""
    network.eval()
    events, categories = [], []
    for start in range(0, len(clips), PREDICTION_BATCH_SIZE):
        positions = range(start, min(start + PREDICTION_BATCH_SIZE, len(clips)))
        batch = clips.batch(positions, device=device, dtype=dtype)
        output = network(batch.visual, batch.audio)
        events.append(output.event_logits.double().cpu())
        categories.append(output.category_logits.double().cpu())
    return Outputs(torch.cat(events).numpy(), torch.cat(categories).numpy())


def train(params: TrainParams, dataset: Dataset, output: Path, device: torch.device) -> None:
    """Train one method and write its weights, ``history.csv`` and ``live/`` into `output`.

    Parameters
    ----------
    params : TrainParams
    dataset : Dataset
    output : Path
    device : torch.device

    Raises
    ------
    TrainingError
        If the train or validation split is empty, or a loss is not finite.
    """
    for name in SPLITS:
        if len(getattr(dataset, name)) == 0:
            raise TrainingError(
                explain(
                    f"split {name}",
                    expected="at least one clip with features",
                    found="none",
                    remedy="see data/<name>/prepared/audit.md and the ledgers",
                )
            )
    # From here on, weak training has no way to a segment label of the training split.
    training = dataset.train if params.supervision == "full" else dataset.train.without_segment_labels()
    scratch = scratch_folder("train", _identity(params, training, dataset, device))
    with locked(scratch):
        run = _Run(params, training, dataset.val, dataset.test, _description(params, dataset), device, scratch)
        with Live(str(output / "live"), dvcyaml=False, save_dvc_exp=False, report=None) as live:
            for row in run.history:
                _log(live, row)
            epochs = range(len(run.history) + 1, run.settings.num_epochs + 1)
            logger.info(
                "train %s (%s): %d clips, %d epochs, %d to go, on %s in %s",
                params.method,
                params.supervision,
                len(training),
                run.settings.num_epochs,
                len(epochs),
                device,
                params.precision,
            )
            for _ in tqdm(epochs, unit="epoch", desc="train", disable=None):
                _log(live, run.epoch())
                run.save()
        run.publish(output)


def _identity(params: TrainParams, training: Clips | LabelledClips, dataset: Dataset, device: torch.device) -> str:
    """Name a run by everything that determines its result."""
    return fingerprint(
        {
            "method": params.method,
            "supervision": params.supervision,
            "seed": params.seed,
            "precision": params.precision,
            "settings": getattr(params, params.supervision).model_dump(),
            "clips": [_labels(split) for split in (training, dataset.val, dataset.test)],
            "categories": list(dataset.categories),
            "features": [asdict(folder.index) for folder in (dataset.visual, dataset.audio)],
            "code": source_fingerprint(*CODE),
            "device": device.type,
            "torch": torch.__version__,
        }
    )


def _labels(clips: Clips | LabelledClips) -> list[Any]:
    if isinstance(clips, LabelledClips):
        return [*_labels(clips.clips), clips.truth.tolist(), clips.has_media.tolist()]
    return [list(clips.clip_ids), clips.categories.tolist()]


def _description(params: TrainParams, dataset: Dataset) -> Checkpoint:
    return Checkpoint(
        method=params.method,
        supervision=params.supervision,
        tau=getattr(params, params.supervision).tau,
        categories=list(dataset.categories),
        visual_channels=dataset.visual.feature_shape[-1],
        audio_features=dataset.audio.feature_shape[-1],
        visual_recipe=dataset.visual.index.recipe,
        audio_recipe=dataset.audio.index.recipe,
        epoch=0,
        selected_on="",
        accuracy=-1.0,
        seed=params.seed,
    )


def _log(live: Live, row: dict[str, float]) -> None:
    for name, value in row.items():
        if name != "epoch":
            live.log_metric(name, value)
    live.next_step()


class _Run:
    """The state of one training run: everything that a checkpoint holds."""

    def __init__(
        self,
        params: TrainParams,
        training: Clips | LabelledClips,
        val: LabelledClips,
        test: LabelledClips,
        description: Checkpoint,
        device: torch.device,
        scratch: Path,
    ) -> None:
        self.params, self.training, self.val, self.test = params, training, val, test
        self.description, self.device = description, device
        self.settings: FullParams | WeakParams = getattr(params, params.supervision)
        self.dtype = DTYPES[params.precision]
        self.history: list[dict[str, float]] = []
        self.best: dict[str, tuple[Checkpoint, dict[str, Tensor]]] = {}
        self._path = scratch / "state.pt"
        _seed(params.seed)
        self.network = build_network(self.description).to(device, self.dtype)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self.settings.learning_rate)
        self.scheduler = MultiStepLR(
            self.optimizer, list(self.settings.milestones), gamma=self.settings.learning_rate_factor
        )
        self._resume()

    def epoch(self) -> dict[str, float]:
        """Train one epoch, score it on validation and test, remember the best; return the history's row."""
        number = len(self.history) + 1
        learning_rate = self.optimizer.param_groups[0]["lr"]
        losses, gradient_norm = self._descend(number)
        self.scheduler.step()
        accuracy = {"val": self._accuracy(self.val), "test": self._accuracy(self.test)}
        for split, value in accuracy.items():
            if split not in self.best or value > self.best[split][0].accuracy:
                description = replace(self.description, epoch=number, selected_on=split, accuracy=value)
                state = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}
                self.best[split] = description, state
        row = {
            "epoch": number,
            "learning_rate": learning_rate,
            **losses,
            "gradient_norm": gradient_norm,
            "validation_accuracy": accuracy["val"],
            "test_accuracy": accuracy["test"],
        }
        self.history.append(row)
        return row

    def save(self) -> None:
        """Write the state to scratch, atomically."""
        state = {
            "history": self.history,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "generators": _generator_states(self.device),
            "best": {split: (asdict(description), weights) for split, (description, weights) in self.best.items()},
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with atomic_write(self._path) as temporary, temporary.open("wb") as file:
            file.write(hashlib.sha256(buffer.getbuffer()).digest())
            file.write(buffer.getbuffer())

    def publish(self, output: Path) -> None:
        """Write what the stage promises."""
        for split, name in SELECTIONS.items():
            save_checkpoint(output / name, *self.best[split])
        write_csv(output / "history.csv", list(self.history[0]), self.history)
        best = self.best["val"][0]
        logger.info("best epoch on validation: %d, %.2f %% of segments", best.epoch, best.accuracy)

    def _resume(self) -> None:
        if not self._path.is_file():
            return
        content = self._path.read_bytes()
        if hashlib.sha256(content[DIGEST_BYTES:]).digest() != content[:DIGEST_BYTES]:
            logger.warning("%s is damaged: training starts again", self._path)
            return
        state: dict[str, Any] = torch.load(io.BytesIO(content[DIGEST_BYTES:]), self.device, weights_only=True)
        self.history = state["history"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.best = {
            split: (Checkpoint(**description), {name: tensor.cpu() for name, tensor in weights.items()})
            for split, (description, weights) in state["best"].items()
        }
        _restore_generators(state["generators"], self.device)

    def _descend(self, number: int) -> tuple[dict[str, float], float]:
        """Run the optimiser over the training clips once; return mean losses and mean gradient norm."""
        self.network.train()
        order = torch.randperm(len(self.training))
        names = (FULL_TERMS if self.params.supervision == "full" else WEAK_TERMS)[self.params.method]
        sums = dict.fromkeys(("loss", *names), 0.0)
        norms: list[float] = []
        for positions in order.split(self.settings.batch_size):
            losses = self._losses(positions.tolist())
            if not torch.isfinite(losses.total):
                clip_ids = [self._training_clips.clip_ids[position] for position in positions.tolist()]
                terms = ", ".join(f"{name} {term.item():g}" for name, term in losses.terms.items())
                raise TrainingError(
                    explain(
                        f"loss in epoch {number}",
                        expected="a finite number",
                        found=f"{terms} on the clips {', '.join(clip_ids[:5])} …",
                        remedy="lower the learning rate, or look at the features of these clips",
                    )
                )
            self.optimizer.zero_grad(set_to_none=True)
            losses.total.backward()
            limit = self.settings.max_gradient_norm
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), float("inf") if limit is None else limit)
            self.optimizer.step()
            share = len(positions) / len(order)
            sums["loss"] += share * losses.total.item()
            for name, term in losses.terms.items():
                sums[name] += share * term.item()
            norms.append(norm.item())
        return {f"train_{name}": value for name, value in sums.items()}, float(np.mean(norms))

    @property
    def _training_clips(self) -> Clips:
        return self.training.clips if isinstance(self.training, LabelledClips) else self.training

    def _losses(self, positions: Sequence[int]) -> Losses:
        batch = self._training_clips.batch(positions, device=self.device, dtype=self.dtype)
        output = self.network(batch.visual, batch.audio)
        method, settings = self.params.method, self.settings
        if isinstance(self.training, LabelledClips):
            assert isinstance(settings, FullParams)
            events = self.training.events[list(positions)].to(self.device)
            return full_losses(method, settings, output, batch.categories, events)
        assert isinstance(settings, WeakParams)
        return weak_losses(method, settings, output, batch.categories)

    def _accuracy(self, labelled: LabelledClips) -> float:
        outputs = predict(self.network, labelled.clips, device=self.device, dtype=self.dtype)
        valid = labelled.has_media.numpy()
        predicted = predict_segments(outputs.event_logits, outputs.category_logits, valid=valid)
        return segment_accuracy(predicted, labelled.truth.numpy())


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)


def _generator_states(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _restore_generators(states: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"].cpu())
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"].cpu(), device)
