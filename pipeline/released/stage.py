"""From feature files as a data set's authors distribute them to the same folder of shards that extraction leaves.

=============================  ====================================================================================
``ave``, ``synthetic``         ``{visual,audio}_feature.h5``, rows in the order of ``Annotations.txt``; for background
                               clips ``{visual,audio}_feature_noisy.h5`` (:mod:`pipeline.released.files`)
``vggsound_avel``, ``csv``     ``features/{visual,audio}``, a folder of one file per video, or such a folder as a
                               ``.zip`` (:mod:`pipeline.store.clip_arrays`)
=============================  ====================================================================================

What is believed of a file is what could be checked; ``import.json`` says what was found, and what rounding to the
storage type changed. Nothing is kept for a resume: AVE's 8.3 GB take about a minute, and a killed import runs again.
"""

import hashlib
import json
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from tqdm import tqdm

from pipeline.annotations.ave_rows import background_video_ids, read_rows
from pipeline.core.errors import AnnotationError, PipelineError, ShardError, explain
from pipeline.core.files import fingerprint, require_space, sha256_of_file, source_fingerprint, write_json
from pipeline.features.recipes import Modality, released_recipe
from pipeline.params.schema import Params
from pipeline.released.files import (
    ReleasedFile,
    Values,
    channels_last,
    check_categories,
    check_same_video,
    is_channels_first,
)
from pipeline.store.clip_arrays import ClipArrays
from pipeline.store.ledger import describe, summarise_ledger
from pipeline.store.manifest import VideoFile
from pipeline.store.shards import LedgerRow, ShardFile, ShardIndex, ShardRow, save_ledger, write_shard

logger = logging.getLogger(__name__)

CODE = (
    "pipeline/store/arrays.py",
    "pipeline/store/clip_arrays.py",
    "pipeline/released/stage.py",
    "pipeline/released/files.py",
    "pipeline/store/shards.py",
)
"""What values and files depend on."""

NUM_NAMED = 10


def import_features(
    params: Params, modality: Modality, videos: Sequence[VideoFile], raw: Path, output: Path
) -> ShardIndex:
    """Turn the released features of `videos` into shards.

    Shards get their names, and what an earlier run left in `output` is replaced, when every check is passed. Equal
    files give equal bytes. A killed import is simply run again.

    Parameters
    ----------
    params : Params
        Its `dataset`, `extract.shard_size`, and of the modality's section `storage` and `max_failed_fraction`.
    modality : {"visual", "audio"}
    videos : sequence of VideoFile
        In append-only order: it decides which shard a video is in. Their media files are not looked at.
    raw : Path
        Folder of the released files.
    output : Path
        Gets the shards, ``ledger.csv``, ``import.json`` and ``index.json``.

    Raises
    ------
    ShardError
        If a file is missing, damaged, of other shapes than the modality has, of other rows or in another order than
        ``Annotations.txt``, or holds a value that no such feature has.
    AnnotationError
        If `videos` and ``Annotations.txt`` do not belong together.
    PipelineError
        If the disk cannot hold the shards, or too many videos have no usable features. AVE's background clips do not
        count: they are an addition, and often only one of their two files is at hand.
    """
    recipe = released_recipe(params, modality)
    kind = _AnnotatedRows if params.dataset.format in ("ave", "synthetic") else _ClipFiles
    with kind(params, modality, videos, raw) as release, _temporary_names(output):
        _require_space(release, len(videos) - len(release.missing), output)
        release.start()
        attributes = {
            "modality": modality,
            "recipe": json.dumps(recipe, sort_keys=True),
            "recipe_hash": fingerprint(recipe),
            "weights_sha256": "",
            "code": source_fingerprint(*CODE),
        }
        shards, ledger = _write_shards(release, videos, params.extract.shard_size, output, attributes)
        facts = release.finish()
        index = ShardIndex(modality, recipe, "", sum(shard.num_videos for shard in shards), tuple(shards))
        _publish(index, ledger, facts, output)
    logger.info("import %s: %s", modality, describe_facts(facts))
    logger.info("import %s: %s", modality, describe(summarise_ledger(ledger, params.dataset.num_segments)))
    return index


class _Released(NamedTuple):
    """What was released for one video, as it goes into shard and ledger; no shard row where it cannot be used."""

    shard_row: ShardRow | None
    ledger_row: LedgerRow


class _Release(ABC):
    """One modality's features as they were released; opened with what can be checked without reading much.

    Attributes
    ----------
    feature_shape : tuple of int
        Of one segment, channels last.
    missing : dict of str to str
        Videos without features, and why.
    may_be_damaged : bool
        Whether what one video has may turn out to be unusable when it is taken.
    """

    feature_shape: tuple[int, ...]
    missing: dict[str, str]
    may_be_damaged: bool

    def __init__(self, params: Params, modality: Modality, raw: Path) -> None:
        self.modality = modality
        self.storage = np.dtype(getattr(params, modality).storage)
        self.num_segments = params.dataset.num_segments
        self.raw = raw
        self.remedy = f"put the released features there, see data/{params.dataset.name}/README.md"
        self.files = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.files.close()

    @abstractmethod
    def start(self) -> None:
        """Check what need not wait until all is read."""

    @abstractmethod
    def take(self, video_id: str) -> _Released:
        """Read the features of a video that is not missing."""

    @abstractmethod
    def finish(self) -> dict[str, Any]:
        """Check what is known at the end only, and return what ``import.json`` holds."""

    def _name(self, path: Path) -> str:
        return path.relative_to(self.raw).as_posix()


class _AnnotatedRows(_Release):
    """A row per row of ``Annotations.txt``, and the background clips in a file of their own."""

    may_be_damaged = False

    def __init__(self, params: Params, modality: Modality, videos: Sequence[VideoFile], raw: Path) -> None:
        super().__init__(params, modality, raw)
        annotations = raw / "Annotations.txt"
        rows = read_rows(annotations, remedy=self.remedy)
        self.video_ids = [row.fields[1] for row in rows]
        self.categories = [row.fields[0] for row in rows]
        background = _not_annotated(videos, self.video_ids, annotations)
        try:
            main = self._open(raw / f"{modality}_feature.h5", self.video_ids, "row of Annotations.txt")
            self.feature_shape = main.file.feature_shape
            self.streams = [main]
            self.missing = {}
            path = raw / f"{modality}_feature_noisy.h5"
            if background and path.exists():
                self.streams.append(self._open(path, background, "background clip of labels_noisy.h5"))
                self._require_one_shape(*self.streams)
            elif background:
                self.missing = dict.fromkeys(background, f"no {path.name}")
        except BaseException:
            self.files.close()
            raise

    def _open(self, path: Path, video_ids: Sequence[str], what: str) -> "_RowStream":
        if not path.is_file():
            raise ShardError(
                explain(path, expected=f"the released {self.modality} features", found="no file", remedy=self.remedy)
            )
        file = self.files.enter_context(ReleasedFile(path, self.modality, self.num_segments))
        if file.num_rows != len(video_ids):
            beyond = "rows of no video behind them"
            if file.num_rows < len(video_ids):
                beyond = f"none for row {file.num_rows}, video {video_ids[file.num_rows]}, and those behind it"
            raise ShardError(
                explain(
                    path,
                    expected=f"{len(video_ids)} rows, one per {what}",
                    found=f"{file.num_rows}, {beyond}",
                    remedy="use files of one release, and download again what is incomplete",
                )
            )
        return _RowStream(file, video_ids, Values(self.storage, may_be_negative=False))

    def _require_one_shape(self, main: "_RowStream", background: "_RowStream") -> None:
        if main.file.feature_shape != background.file.feature_shape:
            raise ShardError(
                explain(
                    background.file.path,
                    expected=f"{main.file.feature_shape} per segment, as in {main.file.path.name}",
                    found=background.file.feature_shape,
                    remedy="use files of one release",
                )
            )

    def start(self) -> None:
        self.same_video = check_same_video(self.streams[0].file, self.video_ids)
        if differing := self.same_video["differing"]:
            named = ", ".join(
                f"{pair['video_id']} (rows {pair['rows'][0]} and {pair['rows'][1]})" for pair in differing
            )
            logger.warning(
                "import %s: rows of one video differ: %s; the first row of each is used", self.modality, named
            )
        if self.missing:
            logger.warning(
                "import %s: %s: the %d background clips have no %s features and cannot be used",
                self.modality,
                next(iter(self.missing.values())),
                len(self.missing),
                self.modality,
            )

    def take(self, video_id: str) -> _Released:
        stream = next(stream for stream in self.streams if video_id in stream)
        return stream.take(video_id)

    def finish(self) -> dict[str, Any]:
        for stream in self.streams:
            stream.finish()
        main = self.streams[0]
        categories = check_categories(main.file.path, np.stack(main.means), self.video_ids, self.categories)
        return {
            "files": [{"name": self._name(stream.file.path), **stream.facts()} for stream in self.streams],
            "row_order": {"same_video": self.same_video, "categories": categories},
        }


def _not_annotated(videos: Sequence[VideoFile], annotated: Sequence[str], path: Path) -> list[str]:
    """Return the ids of the background clips, which are all that ``Annotations.txt`` does not name."""
    known = set(annotated)
    others = [video.video_id for video in videos if video.video_id not in known]
    for found, expected in zip(others, background_video_ids(len(others)), strict=True):
        if found != expected:
            raise AnnotationError(
                explain(
                    path,
                    expected="a row for every video of videos.csv",
                    found=f"none for {found}",
                    remedy="run `dvc repro prepare`, and use the annotations that it read",
                )
            )
    return others


class _RowStream:
    """A feature file, read once from its first row to its last while videos are taken from it in the order of rows.

    A video whose row has been passed is read by itself: it comes later than its first row if the clip of that row is
    in no split.
    """

    def __init__(self, file: ReleasedFile, video_ids: Sequence[str], values: Values) -> None:
        self.file, self.values, self.means = file, values, list[np.ndarray]()
        self._video_ids = video_ids
        self._first_row: dict[str, int] = {}
        for row, video_id in enumerate(video_ids):
            self._first_row.setdefault(video_id, row)
        self._rows = self._read()

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._first_row

    def _read(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield each row as it is in the file and as it is stored."""
        for row, (features, video_id) in enumerate(zip(self.file, self._video_ids, strict=True)):
            stored = self.values.add(features, f"{self.file.path} row {row}, video {video_id},")
            self.means.append(self._arranged(features).mean(axis=tuple(range(features.ndim - 1)), dtype=np.float64))
            yield features, stored

    def _arranged(self, features: np.ndarray) -> np.ndarray:
        return channels_last(features, is_channels_first=self.file.is_channels_first)

    def take(self, video_id: str) -> _Released:
        """Read on to the first row of this video, or back."""
        row = self._first_row[video_id]
        if row < len(self.means):
            features = self.file.row(row)
            stored = features.astype(self.values.storage)
        else:
            while len(self.means) <= row:
                features, stored = next(self._rows)
        valid = np.ones(len(stored), bool)
        detail = f"{self.file.path.name} row {row}"
        return _released(video_id, _content_hash(features), self._arranged(stored), valid, detail)

    def finish(self) -> None:
        """Read what is left, for the checks."""
        for _ in self._rows:
            pass

    def facts(self) -> dict[str, Any]:
        """Return what ``import.json`` holds of this file."""
        return {
            "shape": list(self.file.shape),
            "dtype": str(self.file.dtype),
            **self.values.facts(),
        }


class _ClipFiles(_Release):
    """A file per video, named by it; all of one shape but for the number of segments."""

    may_be_damaged = True

    def __init__(self, params: Params, modality: Modality, videos: Sequence[VideoFile], raw: Path) -> None:
        super().__init__(params, modality, raw)
        self._path = self._find(raw / "features" / modality)
        self._values = Values(self.storage, may_be_negative=True)
        self._dtypes: set[str] = set()
        self._num_taken = 0
        try:
            self._arrays = self.files.enter_context(ClipArrays(self._path))
            self.missing = {v.video_id: "no such file" for v in videos if v.video_id not in self._arrays}
            self._num_videos = len(videos)
            self._max_failed_fraction = getattr(params, modality).max_failed_fraction
            self._damaged: dict[str, str] = {}
            self._require_enough()
            first, features = self._first_array(videos)
            self._is_channels_first = is_channels_first(features.shape, modality, self._subject(first))
            self._shape = features.shape[1:]
            self.feature_shape = self._arranged(features).shape[1:]
        except BaseException:
            self.files.close()
            raise

    def _find(self, folder: Path) -> Path:
        archive = folder.with_name(f"{folder.name}.zip")
        found = [path for path in (folder, archive) if path.exists()]
        if len(found) != 1:
            raise ShardError(
                explain(
                    folder,
                    expected=f"the released {self.modality} features, as a folder or as {archive.name} beside it",
                    found="both" if found else "neither",
                    remedy="move one away" if found else self.remedy,
                )
            )
        return found[0]

    def _require_enough(self) -> None:
        """Refuse too many videos whose features are missing or, as far as they are read, damaged."""
        failed = self.missing | self._damaged
        if len(failed) == self._num_videos or len(failed) > self._max_failed_fraction * self._num_videos:
            listed = ", ".join(list(failed)[:NUM_NAMED])
            more = f" and {len(failed) - NUM_NAMED} more" if len(failed) > NUM_NAMED else ""
            if self._damaged:
                more += f"; {len(self._damaged)} of them damaged, {next(iter(self._damaged.values()))}"
            share = f"{self._max_failed_fraction:.2%}"
            raise PipelineError(
                explain(
                    self._path,
                    expected=f"a file for each of {self._num_videos} videos, with at most {share} missing or damaged",
                    found=f"none for {len(failed)}: {listed}{more}",
                    remedy=f"put them there, or raise {self.modality}.max_failed_fraction",
                )
            )

    def _first_array(self, videos: Sequence[VideoFile]) -> tuple[str, np.ndarray]:
        """Read the first array that can be read, whose shape all others must have."""
        for video in videos:
            if video.video_id not in self.missing:
                try:
                    return video.video_id, self._arrays.read(video.video_id)
                except ShardError as error:
                    damage = error
        raise damage

    def _subject(self, video_id: str) -> str:
        return f"{self._path} {video_id}"

    def _arranged(self, features: np.ndarray) -> np.ndarray:
        return channels_last(features, is_channels_first=self._is_channels_first)

    def start(self) -> None:
        """Nothing: files that are named by their video have no order."""

    def take(self, video_id: str) -> _Released:
        try:
            features = self._arrays.read(video_id)
        except ShardError as error:
            self._damaged[video_id] = str(error)
            self._require_enough()
            return _Released(None, _failed(video_id, "bad_array", str(error)))
        if features.shape[1:] != self._shape or not len(features) or features.dtype.kind not in "fiu":
            raise ShardError(
                explain(
                    self._subject(video_id),
                    expected=f"numbers of shape (T, {', '.join(map(str, self._shape))}), as in the first file",
                    found=f"{features.shape} {features.dtype}",
                    remedy="use features of one network",
                )
            )
        self._num_taken += 1
        self._dtypes.add(str(features.dtype))
        num_found, num_segments = len(features), self.num_segments
        stored = self._values.add(features[:num_segments], self._subject(video_id))
        valid = np.arange(num_segments) < num_found
        detail = ""
        if num_found < num_segments:
            stored = np.concatenate([stored, np.zeros((num_segments - num_found, *self._shape), stored.dtype)])
            detail = f"{num_found} of {num_segments} segments"
        elif num_found > num_segments:
            detail = f"the first {num_segments} of {num_found} segments"
        return _released(video_id, _content_hash(features), self._arranged(stored), valid, detail)

    def finish(self) -> dict[str, Any]:
        if self._damaged:
            logger.warning(
                "import %s: %d files cannot be used, such as %s",
                self.modality,
                len(self._damaged),
                next(iter(self._damaged.values())),
            )
        if self._values.minimum < 0:
            logger.warning(
                "import %s: values down to %.4g: these features were not taken after a ReLU, as those of AVE are",
                self.modality,
                self._values.minimum,
            )
        file = {
            "name": self._name(self._path),
            "shape": [self._num_taken, self.num_segments, *self._shape],
            "dtype": ", ".join(sorted(self._dtypes)),
            **self._values.facts(),
        }
        return {"files": [file], "row_order": None}


def _content_hash(features: np.ndarray) -> str:
    """Return the SHA-256 of the bytes that the file holds for one video."""
    return hashlib.sha256(np.ascontiguousarray(features).data).hexdigest()


def _released(video_id: str, sha256: str, features: np.ndarray, valid: np.ndarray, detail: str) -> _Released:
    status, reason = ("ok", "ok") if valid.all() else ("partial", "short")
    mask = "".join("01"[int(is_valid)] for is_valid in valid)
    ledger_row = LedgerRow(video_id=video_id, status=status, reason=reason, valid=mask, seconds="", detail=detail)
    return _Released(ShardRow(video_id, sha256, features, valid), ledger_row)


def _failed(video_id: str, reason: str, detail: str) -> LedgerRow:
    return LedgerRow(video_id=video_id, status="failed", reason=reason, valid="", seconds="", detail=detail)


@contextmanager
def _temporary_names(output: Path) -> Iterator[None]:
    """Delete what has no final name in `output`, before and after."""
    output.mkdir(parents=True, exist_ok=True)
    _delete(output, ".*.tmp")
    try:
        yield
    finally:
        _delete(output, ".*.tmp")


def _delete(folder: Path, *patterns: str) -> None:
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink()


def _temporary(output: Path, name: str) -> Path:
    return output / f".{name}.tmp"


def _require_space(release: _Release, num_videos: int, output: Path) -> None:
    values = release.num_segments * math.prod(release.feature_shape)
    require_space(
        output,
        num_videos * values * release.storage.itemsize,
        task=f"import {release.modality}",
        subject=f"{release.modality} features of {num_videos} videos, {release.feature_shape} per segment",
        remedy="make room, or store float16",
    )


def _write_shards(
    release: _Release, videos: Sequence[VideoFile], shard_size: int, output: Path, attributes: Mapping[str, str]
) -> tuple[list[ShardFile], list[LedgerRow]]:
    """Write all shards under temporary names; the rows of one are made as it is written."""
    shards: list[ShardFile] = []
    ledger = {video_id: _failed(video_id, "missing", why) for video_id, why in release.missing.items()}
    num_present = len(videos) - len(ledger)
    with tqdm(total=num_present, unit="video", desc=f"import {release.modality}", disable=None) as progress:

        def rows(video_ids: Sequence[str]) -> Iterator[ShardRow]:
            for video_id in video_ids:
                shard_row, ledger[video_id] = release.take(video_id)
                if shard_row is not None:
                    yield shard_row
                progress.update()

        for start in range(0, len(videos), shard_size):
            group = [video.video_id for video in videos[start : start + shard_size]]
            present = [video_id for video_id in group if video_id not in release.missing]
            made: Iterable[ShardRow] = rows(present)
            num_rows = len(present)
            if release.may_be_damaged:  # only then it is not known how many there will be
                made = list(made)
                num_rows = len(made)
            if num_rows:
                name = f"shard-{len(shards):05d}.h5"
                path = _temporary(output, name)
                write_shard(path, made, attributes, num_rows=num_rows)
                shards.append(ShardFile(name, sha256_of_file(path), num_rows))
    return shards, [ledger[video.video_id] for video in videos]


def _publish(index: ShardIndex, ledger: Sequence[LedgerRow], facts: Mapping[str, Any], output: Path) -> None:
    """Replace what `output` held, its index first; the new index comes last."""
    _delete(output, "index.json", "import.json", "ledger.csv", "shard-*.h5")
    for shard in index.shards:
        _temporary(output, shard.file).replace(output / shard.file)
    save_ledger(output / "ledger.csv", ledger)
    write_json(output / "import.json", facts)
    index.save(output)


def describe_facts(facts: Mapping[str, Any]) -> str:
    """Return the content of ``import.json`` as one line."""
    parts = [_describe_file(file) for file in facts["files"]]
    if order := facts["row_order"]:
        num_pairs, num_differing = order["same_video"]["num_pairs"], len(order["same_video"]["differing"])
        p_value = order["categories"]["p_value"]
        parts.append(
            f"row order: {num_pairs - num_differing} of {num_pairs} pairs of rows of one video agree, "
            + ("no categories to tell it by" if p_value is None else f"categories by chance p = {p_value:.3g}")
        )
    return "; ".join(parts)


def _describe_file(file: Mapping[str, Any]) -> str:
    rounding = file["rounding"]
    return (
        f"{file['name']} {tuple(file['shape'])} {file['dtype']}, {file['minimum']:.4g} to {file['maximum']:.4g}, "
        f"{file['share_of_zeros']:.1%} zeros, {file['num_zero_segments']} segments all zero, {rounding['storage']} is "
        f"off by {rounding['largest_error']:.2g} at most ({rounding['largest_error_by_largest_magnitude']:.2g} of the "
        f"largest magnitude), {rounding['mean_error']:.2g} on average"
    )
