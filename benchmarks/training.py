"""Training of CPSP against the released way to train it, on the same random features in the same run.

Makes a data set of AVE's size (or the part of it that memory and disk have room for) in the layout of the AVE release
and as shards, and prints clips per second of

- released: a plain loop as the released code has it: float64, one random HDF5 read per clip, batches of 64 from a
  ``DataLoader``, nothing kept in memory, every loss read back in every step;
- float32, bfloat16: the epochs of ``pipeline.training.loop``, as the train stage runs them;
- the loading of each, alone;
- the peak memory of reading with ``train.cache: stream``, of a few clips and of all;
- the floor: what the matrix products of forward and backward pass take at the rate this machine multiplies.

All use the same network and losses, but that the released loop projects the maps of a batch in one piece, as plain
code does. What was read once lies in the system's cache of files, which is kind to the released loop: a disk is slower.
Rounds alternate, so that a slow moment of the machine meets all of them, and medians count. The last line is one JSON
object of the ratios.

    python benchmarks/training.py
    python benchmarks/training.py --num-clips 640 --rounds 2 --profile
    python benchmarks/training.py --folder some/folder --device cuda --whole-run
"""

import argparse
import json
import logging
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils import data
from torch.utils.flop_counter import FlopCounterMode

from pipeline.core.devices import choose_device, describe_device
from pipeline.core.files import sha256_of_file, write_json
from pipeline.features.recipes import audio_recipe, visual_recipe
from pipeline.params.schema import Params, load_params
from pipeline.store.manifest import Clip, Manifest, VideoFile
from pipeline.store.shards import ShardFile, ShardIndex, ShardRow, write_shard
from pipeline.training.checkpoints import build_network, new_checkpoint
from pipeline.training.dataset import Splits, load_dataset
from pipeline.training.inference import ARITHMETIC, reproducible
from pipeline.training.loading import FeatureStore, choose_cache, open_store
from pipeline.training.localization.dataset import LabelledClips, LocalizationDataset
from pipeline.training.localization.labels import SegmentLabels
from pipeline.training.loop import Run, train
from pipeline.training.objective import terms_of, weigh

AVE_CLIPS = {"train": 3339, "val": 402, "test": 402}
NUM_AVE_CLIPS = sum(AVE_CLIPS.values())
NUM_CATEGORIES = 28
NUM_EPOCHS = 45
MAP, SOUND = (10, 7, 7, 512), (10, 128)
BYTES_ON_DISK = 10 * 49 * 512 * (8 + 2)  # per clip: float64 as released, float16 in a shard
BYTES_IN_MEMORY = 10 * 49 * 512 * (8 + 3 * 2)  # the released file as the system caches it; shards, and two stores
SHARD_SIZE = 256
WARM_UP = 3  # steps
TRIAL = 16  # steps, with each number of workers of the released loop
OPERATORS = 15  # in the profile
PRECISIONS = ("float32", "bfloat16")


# The data set


def room_for_clips(folder: Path) -> int:
    """Return how many clips memory and the disk of `folder` have room for, AVE's number at the most."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    in_memory = int(fields["MemAvailable"].split()[0]) * 1024 // BYTES_IN_MEMORY
    return min(NUM_AVE_CLIPS, int(0.8 * min(shutil.disk_usage(folder).free // BYTES_ON_DISK, in_memory)))


def make_data(folder: Path, params: Params, num_clips: int) -> None:
    """Write `num_clips` clips, at least 8, into `folder`: as the release has them, and as the stages before training.

    Features are rectified normal numbers, 65 % zeros, that float16 holds exactly; labels are random.
    """
    generator = np.random.default_rng(0)
    val = num_clips * AVE_CLIPS["val"] // NUM_AVE_CLIPS or 1
    splits = ["val"] * val + ["test"] * val + ["train"] * (num_clips - 2 * val)
    generator.shuffle(splits)
    categories = generator.integers(NUM_CATEGORIES, size=num_clips)
    starts, lengths = generator.integers(0, 5, num_clips), generator.integers(2, 11, num_clips)
    segments = np.arange(MAP[0])
    events = (segments >= starts[:, None]) & (segments < (starts + lengths)[:, None])
    names = tuple(f"category{number:02d}" for number in range(NUM_CATEGORIES))
    ids = [f"clip{number:05d}" for number in range(num_clips)]
    clips = tuple(
        Clip(name, name, f"{name}.mp4", names[category], "".join("01"[flag] for flag in mask), split)
        for name, category, mask, split in zip(ids, categories, events.astype(int), splits, strict=True)
    )
    hashes = [f"{number:064x}" for number in range(num_clips)]
    videos = tuple(VideoFile(clip.video_id, clip.path, 1, sha256) for clip, sha256 in zip(clips, hashes, strict=True))
    Manifest(clips, videos, names).save(folder / "prepared")

    files: dict[str, list[ShardFile]] = {"visual": [], "audio": []}
    valid = np.ones(MAP[0], bool)
    released = folder / "released"
    released.mkdir(parents=True, exist_ok=True)
    with (
        h5py.File(released / "visual_feature.h5", "w") as visual_file,
        h5py.File(released / "audio_feature.h5", "w") as audio_file,
        h5py.File(released / "labels.h5", "w") as label_file,
    ):
        targets = {
            "visual": visual_file.create_dataset("avadataset", (num_clips, *MAP), np.float64),
            "audio": audio_file.create_dataset("avadataset", (num_clips, *SOUND), np.float64),
        }
        classes = np.where(events, categories[:, None], NUM_CATEGORIES)
        label_file["avadataset"] = np.eye(NUM_CATEGORIES + 1)[classes]
        label_file["order"] = [number for number, split in enumerate(splits) if split == "train"]
        for first in range(0, num_clips, SHARD_SIZE):
            chosen = range(first, min(first + SHARD_SIZE, num_clips))
            for modality, shape, dtype in (("visual", MAP, np.float16), ("audio", SOUND, np.float32)):
                numbers = generator.standard_normal((len(chosen), *shape), np.float32)
                numbers -= 0.385
                features = np.maximum(numbers, 0, out=numbers).astype(np.float16)
                targets[modality][chosen.start : chosen.stop] = features
                rows = [
                    ShardRow(ids[number], hashes[number], of_clip, valid)
                    for number, of_clip in zip(chosen, features.astype(dtype, copy=False), strict=True)
                ]
                path = folder / "features" / modality / f"shard-{first // SHARD_SIZE:05d}.h5"
                write_shard(path, rows, {"modality": modality})
                files[modality].append(ShardFile(path.name, sha256_of_file(path), len(rows)))
    recipes = {
        "visual": visual_recipe(params.visual, params.dataset),
        "audio": audio_recipe(params.audio, params.dataset),
    }
    for modality, entries in files.items():
        index = ShardIndex(modality, recipes[modality], "random", num_clips, tuple(entries))
        index.save(folder / "features" / modality)
    write_json(folder / "benchmark.json", {"num_clips": num_clips})


def make_or_reuse_data(folder: Path, params: Params, num_clips: int | None) -> int:
    """Make the data set unless `folder` has it from an earlier run; return its number of clips."""
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / "benchmark.json"
    found = json.loads(finished.read_text())["num_clips"] if finished.is_file() else None
    if found is None:
        found = num_clips or room_for_clips(folder)
        start = time.perf_counter()
        make_data(folder, params, found)
        print(f"made {found} clips in {time.perf_counter() - start:.0f} s")
    elif num_clips not in (None, found):
        raise SystemExit(f"{folder}: expected {num_clips} clips, found {found}; name another folder, or delete it")
    return int(found)


# The released way


class ReleasedClips(data.Dataset[tuple[Tensor, Tensor, Tensor]]):
    """The first clips of the release's training split: every item is read from the files."""

    def __init__(self, folder: Path, num_clips: int) -> None:
        self.folder = folder
        with h5py.File(folder / "labels.h5", "r") as file:
            self.order, self.labels = file["order"][:num_clips], file["avadataset"][:]
        self._files: list[h5py.File] = []

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return maps (T, H, W, C), audio (T, D) and labels (T, categories and background), all float64."""
        if not self._files:  # a file must not be open when processes are forked
            self._files = [h5py.File(self.folder / f"{name}_feature.h5", "r") for name in ("visual", "audio")]
        row = self.order[number]
        visual, audio = (torch.from_numpy(file["avadataset"][row]) for file in self._files)
        return visual, audio, torch.from_numpy(self.labels[row])


class ReleasedLoop:
    """The plain loop; `num_workers` processes of a ``DataLoader`` read its clips."""

    def __init__(
        self, clips: ReleasedClips, network: nn.Module, params: Params, device: torch.device, num_workers: int
    ) -> None:
        self.network, self.device = network, device
        self.settings = params.train.settings
        self.terms = terms_of(params.train.method, params.train.supervision, self.settings)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=self.settings.learning_rate)
        self.loader = data.DataLoader(
            clips,
            batch_size=self.settings.batch_size,
            shuffle=True,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=device.type == "cuda",
        )

    def train(self) -> float:
        """Return clips per second of an epoch."""
        self.network.train()
        return self._rate(self._step)

    def load(self) -> float:
        """Return clips per second of the loading alone."""
        return self._rate(lambda *_: None)

    def _rate(self, use: Callable[[Tensor, Tensor, Tensor], None]) -> float:
        num_clips, start = 0, time.perf_counter()
        for visual, audio, labels in self.loader:
            use(visual.to(self.device), audio.to(self.device), labels.to(self.device))
            num_clips += len(labels)
        synchronise(self.device)
        return num_clips / (time.perf_counter() - start)

    def _step(self, visual: Tensor, audio: Tensor, labels: Tensor) -> None:
        events = labels[:, :, -1] == 0
        categories = labels[:, :, :-1].sum(1).argmax(1)
        losses = weigh(self.terms, self.network(visual, audio), SegmentLabels(categories, NUM_CATEGORIES, events))
        self.optimizer.zero_grad()
        losses.total.backward()
        if self.settings.max_gradient_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.max_gradient_norm)
        self.optimizer.step()
        self.logged = [losses.total.item(), *(term.item() for term in losses.terms.values())]


# Ours


class TimedRun(Run):
    """The run of the train stage; remembers how long its epochs take without the scoring after them."""

    seconds = 0.0

    def _descend(self, number: int) -> dict[str, float]:
        start = time.perf_counter()
        means = super()._descend(number)
        synchronise(self.device)
        self.seconds = time.perf_counter() - start
        return means


def first_clips(labelled: LabelledClips, num_clips: int) -> LabelledClips:
    """Return the first clips of a split."""
    clips = labelled.clips
    return replace(
        labelled,
        clips=replace(
            clips,
            clip_ids=clips.clip_ids[:num_clips],
            video_ids=clips.video_ids[:num_clips],
            categories=clips.categories[:num_clips],
        ),
        events=labelled.events[:num_clips],
        truth=labelled.truth[:num_clips],
        has_media=labelled.has_media[:num_clips],
        event_shares=None,
    )


def train_ours(
    params: Params, dataset: LocalizationDataset, store: FeatureStore, num_clips: int, scratch: Path
) -> TimedRun:
    """Return a run over the first `num_clips` training clips that has its first epochs behind it."""
    train_params = params.train
    description = new_checkpoint(train_params, dataset)
    few = num_clips if store.device.type == "cuda" else WARM_UP * train_params.settings.batch_size
    warm_up = Splits(first_clips(dataset.train, few), first_clips(dataset.val, 1), first_clips(dataset.test, 1))
    run = TimedRun(train_params, warm_up, description, store, store.device, scratch)
    run.epoch()
    run.splits = Splits(first_clips(dataset.train, num_clips), dataset.val, dataset.test)
    return run


def load_ours(dataset: LocalizationDataset, store: FeatureStore, num_clips: int, batch_size: int) -> float:
    """Return clips per second of the loading alone."""
    clips = first_clips(dataset.train, num_clips).clips
    start = time.perf_counter()
    batches = [positions.tolist() for positions in store.epoch_order(clips).split(batch_size)]
    for batch in store.batches(clips, batches):
        del batch
    synchronise(store.device)
    return len(clips) / (time.perf_counter() - start)


def measure_stream(folder: Path, params: Params, num_clips: int) -> None:
    """Read the first training clips from the shards, in this process, and print its peak memory in MiB."""
    dataset = load_dataset(params, folder / "prepared", folder / "features")
    clips = first_clips(dataset.train, num_clips).clips
    batches = [positions.tolist() for positions in torch.arange(len(clips)).split(params.train.settings.batch_size)]
    with open_store(dataset, "stream", torch.device("cpu"), torch.float32) as store:
        for batch in store.batches(clips, batches):
            del batch
    # Not ru_maxrss, which begins with what the process that started this one had.
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(round(int(fields["VmHWM"].split()[0]) / 1024))


def compare_streams(folder: Path, num_clips: int) -> dict[int, int]:
    """Return the peak memory of a process that reads an eighth of the clips, and of one that reads all, in MiB."""
    peaks = {}
    for number in (num_clips // 8, num_clips):
        command = [sys.executable, __file__, "--folder", str(folder), "--stream-clips", str(number)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        peaks[number] = int(done.stdout.splitlines()[-1])
    return peaks


# The floor


def flop_per_clip(params: Params, dataset: LocalizationDataset) -> float:
    """Count the matrix products of one forward and backward pass.

    Counted in float64 on the CPU, where the LSTMs are made of products that can be seen.
    """
    network = build_network(new_checkpoint(params.train, dataset)).double()
    labels = SegmentLabels(torch.tensor([0, 1]), NUM_CATEGORIES, torch.ones(2, MAP[0], dtype=torch.bool))
    terms = terms_of(params.train.method, params.train.supervision, params.train.settings)
    with FlopCounterMode(display=False) as counter:
        maps, sounds = torch.rand(2, *MAP, dtype=torch.float64), torch.rand(2, *SOUND, dtype=torch.float64)
        weigh(terms, network(maps, sounds), labels).total.backward()
    return float(counter.get_total_flops()) / 2


def flop_per_second(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the largest product of the network, that of a batch's positions, forward and for its weights."""
    rows = torch.rand(64 * 490, 512, device=device, dtype=dtype)
    weights = torch.rand(512, 512, device=device, dtype=dtype)
    forward, backward = torch.empty_like(rows), torch.empty_like(weights)
    seconds = []
    for _ in range(6):
        synchronise(device)
        start = time.perf_counter()
        torch.mm(rows, weights.T, out=forward)
        torch.mm(forward.T, rows, out=backward)
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return 4 * rows.numel() * 512 / min(seconds)


# The profile


@dataclass
class Stopwatch:
    """Seconds by name, of things that do not contain each other."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add what is inside of this."""
        synchronise(self.device)
        start = time.perf_counter()
        yield
        synchronise(self.device)
        self.seconds[name] += time.perf_counter() - start

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its calls measured."""

        def call(*arguments: Any, **options: Any) -> Any:
            with self.measure(name):
                return function(*arguments, **options)

        return call

    def batches(self, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Return a function that makes an iterator, with what the iterator does measured as loading."""

        def call(*arguments: Any) -> Iterator[Any]:
            iterator = function(*arguments)
            while True:
                with self.measure("loading"):
                    batch = next(iterator, None)
                if batch is None:
                    return
                yield batch

        return call


def print_profile(run: TimedRun) -> None:
    """Train on with a watch around the parts of a step, which makes a GPU wait, then under PyTorch's profiler."""
    watch = Stopwatch(run.device)
    with ExitStack() as patches:
        for place, name, part in (
            (torch.Tensor, "backward", "backward"),
            (nn.utils, "clip_grad_norm_", "gradient norm"),
            (run.optimizer, "step", "optimiser"),
        ):
            patches.enter_context(mock.patch.object(place, name, watch.timed(part, getattr(place, name))))
        patches.enter_context(mock.patch.object(run.store, "batches", watch.batches(run.store.batches)))
        run._descend(len(run.history) + 1)
    parts = {**watch.seconds, "forward, losses, rest": run.seconds - sum(watch.seconds.values())}
    print(f"an epoch of {run.params.precision} with a watch around its parts, {run.seconds:.2f} s:")
    for part, seconds in sorted(parts.items(), key=lambda item: -item[1]):
        print(f"{part:>22}: {seconds / run.seconds:6.1%}")
    on_gpu = run.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as profiler:
        run._descend(len(run.history) + 1)
    order = f"self_{'cuda' if on_gpu else 'cpu'}_time_total"
    print(profiler.key_averages().table(sort_by=order, row_limit=OPERATORS, max_name_column_width=40))


# All side by side


def synchronise(device: torch.device) -> None:
    """Wait for what the GPU was asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def at_precision(params: Params, precision: str) -> Params:
    """Return params that train in another precision."""
    return params.model_copy(update={"train": params.train.model_copy(update={"precision": precision})})


def choose_num_workers(make_loop: Callable[[int, int], ReleasedLoop], num_clips: int) -> int:
    """Return how many processes of a ``DataLoader`` serve the plain loop best here: none, or one per core up to 8."""
    rates = {}
    for num_workers in (0, min(8, os.cpu_count() or 1)):
        loop = make_loop(num_clips, num_workers)
        loop.train()
        rates[num_workers] = loop.train()
    print(f"released loop: {', '.join(f'{rate:.0f} clips/s with {n} workers' for n, rate in rates.items())}")
    return max(rates, key=lambda number: rates[number])


def seconds_of_whole_run(params: Params, dataset: LocalizationDataset, device: torch.device, output: Path) -> float:
    """Time everything that the train stage does once features are opened."""
    settings = getattr(params.train, params.train.method)
    full = settings.full.model_copy(update={"num_epochs": NUM_EPOCHS})
    method = settings.model_copy(update={"full": full})
    start = time.perf_counter()
    train(params.train.model_copy(update={params.train.method: method}), dataset, output, device)
    return time.perf_counter() - start


def main() -> None:
    """Run all side by side and print their rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-clips", type=int, help=f"by default AVE's {NUM_AVE_CLIPS}, or what there is room for")
    parser.add_argument("--clips-per-round", type=int, help="to train on; by default the whole training split")
    parser.add_argument("--folder", type=Path, help="where the data set is made, or was; by default temporary")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="say where the time of our epochs goes")
    parser.add_argument(
        "--whole-run", action="store_true", help=f"also time {NUM_EPOCHS} epochs as the stage runs them"
    )
    parser.add_argument("--stream-clips", type=int, help=argparse.SUPPRESS)  # of a process that only reads
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("pipeline.training.loading").setLevel(logging.INFO)
    preset = load_params(Path("data/ave/preset.yaml"))
    chosen = {"method": "cpsp", "supervision": "full", "device": arguments.device}
    params = preset.model_copy(update={"train": preset.train.model_copy(update=chosen)})
    if arguments.stream_clips:
        measure_stream(arguments.folder, params, arguments.stream_clips)
        return
    device = choose_device(arguments.device)
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["DVC_ROOT"] = str(temporary)
        folder = arguments.folder or temporary / "data"
        num_clips = make_or_reuse_data(folder, params, arguments.num_clips)
        dataset = load_dataset(params, folder / "prepared", folder / "features")
        clips_per_round = min(arguments.clips_per_round or len(dataset.train), len(dataset.train))
        batch_size = params.train.settings.batch_size
        print(
            f"{describe_device(device)}, {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}; "
            f"{num_clips} clips, {num_clips / NUM_AVE_CLIPS:.0%} of AVE's; {clips_per_round} trained on in each of "
            f"{arguments.rounds} rounds, batches of {batch_size}"
        )
        description = new_checkpoint(params.train, dataset)

        def make_loop(num_clips: int, num_workers: int) -> ReleasedLoop:
            network = build_network(description).to(device, torch.float64)
            network.get_submodule("attention").rows_at_once = sys.maxsize  # type: ignore[assignment]
            return ReleasedLoop(ReleasedClips(folder / "released", num_clips), network, params, device, num_workers)

        few = min(clips_per_round, TRIAL * batch_size)
        released = make_loop(clips_per_round, choose_num_workers(make_loop, few))
        released.load()  # starts its processes
        cache = choose_cache("auto", dataset, device)
        runs = {}
        for precision in PRECISIONS:
            store = stack.enter_context(open_store(dataset, cache, device, ARITHMETIC[precision].network))
            scratch = temporary / precision
            with reproducible():
                runs[precision] = train_ours(at_precision(params, precision), dataset, store, clips_per_round, scratch)
        rates: dict[str, list[float]] = defaultdict(list)
        scoring: dict[str, list[float]] = defaultdict(list)
        for _ in range(arguments.rounds):
            rates["released"].append(released.train())
            rates["loading, released"].append(released.load())
            for precision, run in runs.items():
                start = time.perf_counter()
                with reproducible():
                    run.epoch()
                scoring[precision].append(time.perf_counter() - start - run.seconds)
                rates[precision].append(clips_per_round / run.seconds)
                rates[f"loading, {precision}"].append(load_ours(dataset, run.store, clips_per_round, batch_size))
        flop = flop_per_clip(params, dataset)
        floors = {name: flop_per_second(device, getattr(torch, name)) for name in ("float64", *PRECISIONS)}
        if arguments.profile:
            for run in runs.values():
                with reproducible():
                    print_profile(run)
        peaks = compare_streams(folder, len(dataset.train))
        whole = {}
        if arguments.whole_run:
            for precision in PRECISIONS:
                of_precision = at_precision(params, precision)
                whole[precision] = seconds_of_whole_run(of_precision, dataset, device, temporary / f"whole-{precision}")

    median = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        print(f"{name:>18}: {median[name]:9.1f} clips/s   rounds: {', '.join(f'{value:.1f}' for value in values)}")
    print(f"floor: {flop / 1e9:.3f} GFLOP per clip, forward and backward")
    for name, rate in floors.items():
        print(f"{name:>18}: {rate / flop:9.1f} clips/s at {rate / 1e9:.0f} GFLOP/s")
    print(f"peak memory of reading with cache stream: {', '.join(f'{n} clips {mib} MiB' for n, mib in peaks.items())}")
    epochs = {}
    for precision in PRECISIONS:
        scores = statistics.median(scoring[precision]) * NUM_AVE_CLIPS / num_clips
        epochs[precision] = NUM_EPOCHS * (AVE_CLIPS["train"] / median[precision] + scores)
        measured = f"; measured with {num_clips} clips: {whole[precision]:.1f} s" if whole else ""
        print(
            f"{NUM_EPOCHS} epochs of {precision} at AVE's size, scored: {epochs[precision]:.1f} s projected{measured}"
        )
    print(
        json.dumps(
            {
                "ours_over_released_style": round(median["float32"] / median["released"], 3),
                "ours_bfloat16_over_released_style": round(median["bfloat16"] / median["released"], 3),
                "ours_over_floor": round(median["float32"] * flop / floors["float32"], 3),
                "loading_over_released_style": round(median["loading, float32"] / median["loading, released"], 3),
                "stream_memory_of_all_over_an_eighth": round(max(peaks.values()) / min(peaks.values()), 3),
                "seconds_of_45_epochs": {name: round(seconds, 1) for name, seconds in epochs.items()},
                "num_clips": num_clips,
                "cache": cache,
                "device": device.type,
            }
        )
    )


if __name__ == "__main__":
    main()
