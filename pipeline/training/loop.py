"""One training loop for every method: exact to resume, selected on validation.

The whole state (weights, optimiser, schedule, random generators, history, best weights) is written to a scratch folder
named by everything that determines the result. A killed run goes on after the last epoch that was written and ends in
the same bytes; a finished one is only copied out. ``weights.safetensors`` is the epoch that the recipe keeps, as a
rule that with the best validation score, the result; ``weights_test_selected.safetensors`` the one with the best test
score, for comparison with code that reports that. What the score is, is up to the task, as are the labels: the loop
knows neither.
"""

import hashlib
import io
import logging
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dvclive import Live
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from models.localization.initialisation import init_xavier
from pipeline.core.devices import describe_device
from pipeline.core.errors import TrainingError, explain
from pipeline.core.files import atomic_write, locked, scratch_folder, write_csv
from pipeline.core.fingerprints import fingerprint, source_fingerprint
from pipeline.methods.registry import METHODS
from pipeline.params.schema import TrainParams
from pipeline.training.checkpoints import (
    SELECTIONS,
    Checkpoint,
    build_network,
    new_checkpoint,
    save_checkpoint,
    seed_folder,
    seed_folders,
)
from pipeline.training.dataset import ClipBatch, Dataset, Labelled, Splits
from pipeline.training.inference import ARITHMETIC, answer, predict, reproducible
from pipeline.training.loading import FeatureStore, choose_cache, open_store
from pipeline.training.objective import Term, terms_of, weigh
from pipeline.training.order import draw_batches

logger = logging.getLogger(__name__)

CHECK_EVERY = 16  # batches between two looks at the losses: a look makes a GPU wait
SAVING_SHARE = 0.05  # of the time, at most, that writing the state may take
DIGEST_BYTES = 32  # of SHA-256, in front of a saved state


def train(params: TrainParams, dataset: Dataset, output: Path, device: torch.device) -> None:
    """Train one method, with one seed or several, and write what the train stage promises.

    Parameters
    ----------
    params : TrainParams
    dataset : Dataset
    output : Path
        Gets the weights, ``history.csv`` and ``live/`` of the first seed, and a folder ``seed-<number>`` with weights
        and history of each further one.
    device : torch.device

    Raises
    ------
    TrainingError
        If a split is empty, background clips are asked for that the data set does not have, or a loss is not finite.
    ParamsError
        If the features do not fit where ``train.cache`` wants them.
    """
    splits = dataset.splits(params)
    cache = choose_cache(params.cache, dataset, device)
    with reproducible(), open_store(dataset, cache, device, ARITHMETIC[params.precision].network) as store:
        for stale in seed_folders(output)[1:]:
            shutil.rmtree(stale)
        for number in range(params.num_seeds):
            seeded = params.model_copy(update={"seed": params.seed + number})
            if number == 0:
                with Live(str(output / "live"), dvcyaml=False, save_dvc_exp=False, report=None) as live:
                    _train_seed(seeded, dataset, splits, store, output, device, live)
            else:
                _train_seed(seeded, dataset, splits, store, seed_folder(output, seeded.seed), device, None)


def _train_seed(
    params: TrainParams,
    dataset: Dataset,
    splits: Splits,
    store: FeatureStore,
    output: Path,
    device: torch.device,
    live: Live | None,
) -> None:
    description = new_checkpoint(params, dataset)
    scratch = scratch_folder("train", _identity(params, description, splits, dataset, device))
    with locked(scratch), logging_redirect_tqdm():
        run = Run(params, splits, description, store, device, scratch)
        for row in run.history:
            _log(live, row)
        num_epochs = params.settings.num_epochs
        logger.info(
            "train %s (%s), seed %d: %d clips, %d of %d epochs to go, on %s in %s",
            params.method,
            params.supervision,
            params.seed,
            len(splits.training),
            num_epochs - len(run.history),
            num_epochs,
            describe_device(device),
            params.precision,
        )
        saved, seconds = time.monotonic(), 0.0
        while len(run.history) < num_epochs:
            _log(live, run.epoch())
            now = time.monotonic()
            if len(run.history) == num_epochs or seconds <= SAVING_SHARE * (now - saved):
                run.save()
                saved = time.monotonic()
                seconds = saved - now
        run.publish(output)


def _identity(
    params: TrainParams,
    description: Checkpoint,
    splits: Splits,
    dataset: Dataset,
    device: torch.device,
) -> str:
    """Name a run by everything that determines its result."""
    return fingerprint(
        {
            "method": params.method,
            "supervision": params.supervision,
            "seed": params.seed,
            "precision": params.precision,
            "settings": params.settings.model_dump(),
            "conduct": asdict(params.conduct),
            "milestones_are_steps": params.milestones_are_steps,
            "initialisation": params.initialisation,
            "network": description.network,
            "clips": [split.identity() for split in (splits.training, splits.val, splits.test)],
            "categories": list(dataset.categories),
            "features": [asdict(folder.index) for folder in (dataset.visual, dataset.audio)],
            "code": source_fingerprint(__name__, *METHODS[params.method].modules(params.supervision)),
            "device": device.type,
            "torch": torch.__version__,
        }
    )


def _log(live: Live | None, row: dict[str, float]) -> None:
    if live is None:
        return
    for name, value in row.items():
        if name != "epoch":
            live.log_metric(name, value)
    live.next_step()


class Run:
    """The training of one seed, with its state, all of which is written to go on after a kill."""

    def __init__(
        self,
        params: TrainParams,
        splits: Splits,
        description: Checkpoint,
        store: FeatureStore,
        device: torch.device,
        scratch: Path,
    ) -> None:
        self.params, self.splits, self.description = params, splits, description
        self.store, self.device = store, device
        self.settings, self.conduct = params.settings, params.conduct
        self.arithmetic = ARITHMETIC[params.precision]
        self.terms = terms_of(params.method, params.supervision, self.settings)
        self.history: list[dict[str, float]] = []
        self.best: dict[str, tuple[Checkpoint, dict[str, Tensor]]] = {}
        self._path = scratch / "state.pt"
        torch.manual_seed(params.seed)
        self.network = build_network(description)
        if params.initialisation == "xavier":
            init_xavier(self.network)
        self.network.to(device, self.arithmetic.weights)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self.settings.learning_rate)
        self.scheduler = MultiStepLR(
            self.optimizer, list(self.settings.milestones), gamma=self.settings.learning_rate_factor
        )
        self._resume()

    def epoch(self) -> dict[str, float]:
        """Train one epoch, score it on validation and test, remember the best; return the history's row."""
        number = len(self.history) + 1
        learning_rate = self.optimizer.param_groups[0]["lr"]
        started = time.perf_counter()
        means = self._descend(number)
        seconds = time.perf_counter() - started
        if not self.params.milestones_are_steps:
            self.scheduler.step()
        scores = {"val": self._score(self.splits.val, number), "test": self._score(self.splits.test, number)}
        for split, score in scores.items():
            if self._is_better(split, number, score):
                description = replace(self.description, epoch=number, selected_on=split, score=score)
                state = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}
                self.best[split] = description, state
        gradient_norm = means.pop("gradient_norm")
        row = {
            "epoch": number,
            "learning_rate": learning_rate,
            **{f"train_{name}": value for name, value in means.items()},
            "gradient_norm": gradient_norm,
            "validation_score": scores["val"],
            "test_score": scores["test"],
        }
        self.history.append(row)
        logger.info(
            "epoch %d of %d: %s; learning rate %g, gradient norm %.3g; validation %.2f %%; %.0f clips/s",
            number,
            self.settings.num_epochs,
            ", ".join(f"{name} {value:.4g}" for name, value in means.items()),
            learning_rate,
            gradient_norm,
            scores["val"],
            len(self.splits.training) / seconds,
        )
        return row

    def _is_better(self, split: str, number: int, score: float) -> bool:
        """Tell whether an epoch takes the place of the best one so far; there is always one in the end."""
        rule, best = self.conduct.selection, self.best.get(split)
        if not rule.is_candidate(number):
            return best is None and number == self.settings.num_epochs
        if best is None or best[0].score is None or (rule.keeps_last and split == "val"):
            return True
        return score >= best[0].score if rule.takes_later else score > best[0].score

    def save(self) -> None:
        """Write the state to scratch, atomically."""
        state = {
            "history": self.history,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "terms": {term.name: term.state for term in self.terms},
            "generators": _generator_states(self.device),
            "best": {split: (asdict(description), weights) for split, (description, weights) in self.best.items()},
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with atomic_write(self._path) as temporary, temporary.open("wb") as file:
            file.write(hashlib.sha256(buffer.getbuffer()).digest())
            file.write(buffer.getbuffer())

    def publish(self, output: Path) -> None:
        """Write the weights and the history."""
        for split, name in SELECTIONS.items():
            save_checkpoint(output / name, *self.best[split])
        write_csv(output / "history.csv", list(self.history[0]), self.history)
        best = self.best["val"][0]
        kept = self.conduct.selection.describe_kept(self.settings.num_epochs)
        logger.info("kept epoch %d, %s: %.2f %% there", best.epoch, kept, best.score)

    def _resume(self) -> None:
        if not self._path.is_file():
            return
        content = self._path.read_bytes()
        if hashlib.sha256(content[DIGEST_BYTES:]).digest() != content[:DIGEST_BYTES]:
            logger.warning("%s is damaged: training starts again", self._path)
            return
        # To the CPU: what belongs on the device goes there, and Adam's counters belong here.
        state: dict[str, Any] = torch.load(io.BytesIO(content[DIGEST_BYTES:]), "cpu", weights_only=True)
        self.history = state["history"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        for term in self.terms:
            term.state.update({name: value.to(self.device) for name, value in state["terms"][term.name].items()})
        self.best = {
            split: (Checkpoint(**description), weights) for split, (description, weights) in state["best"].items()
        }
        _restore_generators(state["generators"], self.device)

    def _descend(self, number: int) -> dict[str, float]:
        """Run the optimiser over the training clips once; return the means of loss, terms and gradient norm."""
        self.network.train()
        self.settings.begin_epoch(self.network, number)
        clips = self.splits.training_clips
        batches = draw_batches(clips, self.store, self.conduct, self.settings.batch_size)
        terms = tuple(term for term in self.terms if term.first_epoch <= number)
        names = ("loss", *(term.name for term in terms), "gradient_norm")
        rows: list[Tensor] = []
        checked = 0
        loaded = zip(batches, self.store.batches(clips, batches), strict=True)
        for positions, batch in tqdm(loaded, f"epoch {number}", len(batches), unit="batch", leave=False, disable=None):
            rows.append(self._step(terms, batch, positions))
            if len(rows) - checked == CHECK_EVERY or len(rows) == len(batches):
                rows[checked:] = torch.stack(rows[checked:]).double().cpu()
                self._require_finite(rows, checked, names, batches, number)
                checked = len(rows)
        means = np.average(torch.stack(rows).numpy(), axis=0, weights=[len(positions) for positions in batches])
        silent = {term.name: 0.0 for term in self.terms if term.first_epoch > number}
        return dict(zip(names, means.tolist(), strict=True)) | silent

    def _step(self, terms: Sequence[Term], batch: ClipBatch, positions: Sequence[int]) -> Tensor:
        """Descend once; return total, terms and gradient norm, on the device."""
        losses = weigh(terms, answer(self.network, batch, self.arithmetic), self._labels(batch, positions))
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        limit = self.settings.max_gradient_norm
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), math.inf if limit is None else limit)
        self.optimizer.step()
        if self.params.milestones_are_steps:
            self.scheduler.step()
        return torch.stack([losses.total, *losses.terms.values(), norm]).detach()

    def _labels(self, batch: ClipBatch, positions: Sequence[int]) -> Any:
        return self.splits.training.labels(batch, positions)

    def _require_finite(
        self, rows: Sequence[Tensor], first: int, names: Sequence[str], batches: Sequence[Sequence[int]], number: int
    ) -> None:
        """Stop at the first batch, from `first` on, of which a loss or the gradient is not finite."""
        for index in range(first, len(rows)):
            if not torch.isfinite(rows[index]).all():
                clip_ids = [self.splits.training_clips.clip_ids[position] for position in batches[index]]
                values = ", ".join(f"{name} {value:g}" for name, value in zip(names, rows[index].tolist(), strict=True))
                more = " …" if len(clip_ids) > 5 else ""
                raise TrainingError(
                    explain(
                        f"loss in epoch {number}, batch {index + 1} of {len(batches)}",
                        expected="finite numbers",
                        found=f"{values} on the clips {', '.join(clip_ids[:5])}{more}",
                        remedy="lower the learning rate, or look at the features of these clips",
                    )
                )

    def _score(self, labelled: Labelled, number: int) -> float:
        try:
            outputs = predict(self.network, labelled.clips, self.store, self.arithmetic)
        except TrainingError as error:  # the losses were finite, and the last step was not
            raise TrainingError(f"epoch {number}: {error}") from error
        return labelled.score(outputs, METHODS[self.params.method].rule)


def _generator_states(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _restore_generators(states: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
