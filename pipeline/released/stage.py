"""From feature files as a data set's authors distribute them to the same folder of shards that extraction leaves.

=============================  ====================================================================================
``ave``, ``synthetic``         ``{visual,audio}_feature.h5``, rows in the order of ``Annotations.txt``; for background
                               clips ``{visual,audio}_feature_noisy.h5`` (:mod:`pipeline.released.annotated_rows`)
``llp``                        ``features/{vggish,res152,r2plus1d_18}``, folders of one file per video, or ``.zip``
                               archives of them (:mod:`pipeline.released.clip_files`)
all others                     ``features/{visual,audio}``, likewise; so AVE's maps of a ResNet come
=============================  ====================================================================================

Only what could be checked of a file is believed; ``import.json`` says what was found, and what rounding to the storage
type changed. Nothing is kept for a resume: AVE's 8.3 GB take about a minute, and a killed import runs again.
"""

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.core.errors import ShardError, explain
from pipeline.core.files import require_space, sha256_of_file, write_json
from pipeline.core.fingerprints import fingerprint, source_fingerprint
from pipeline.features.recipes import Modality, released_recipe
from pipeline.params.schema import Params
from pipeline.released.annotated_rows import AnnotatedRows
from pipeline.released.clip_files import ClipFiles
from pipeline.released.release import Release, failed_row
from pipeline.store.ledger import describe, summarise_ledger
from pipeline.store.manifest import VideoFile
from pipeline.store.placing import shard_groups
from pipeline.store.shards import LedgerRow, ShardFile, ShardIndex, ShardRow, save_ledger, write_shard

logger = logging.getLogger(__name__)


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
        In append-only order; :mod:`pipeline.store.placing` decides which shard a video is in. Their media files are not
        looked at.
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
    kind = _form(params, modality, raw)
    with kind(params, modality, videos, raw) as release, _temporary_names(output):
        _require_space(release, len(videos) - len(release.missing), output)
        release.start()
        attributes = {
            "modality": modality,
            "recipe": json.dumps(recipe, sort_keys=True),
            "recipe_hash": fingerprint(recipe),
            "weights_sha256": "",
            "code": source_fingerprint(__name__),
        }
        shards, ledger = _write_shards(release, videos, params.extract.shard_size, output, attributes)
        facts = release.finish()
        index = ShardIndex(modality, recipe, "", sum(shard.num_videos for shard in shards), tuple(shards))
        _publish(index, ledger, facts, output)
    logger.info("import %s: %s", modality, describe_facts(facts))
    logger.info("import %s: %s", modality, describe(summarise_ledger(ledger, params.dataset.num_segments)))
    return index


def _form(params: Params, modality: Modality, raw: Path) -> type[AnnotatedRows] | type[ClipFiles]:
    """Return which form the features of a modality have in `raw`."""
    if params.dataset.format not in ("ave", "synthetic"):
        return ClipFiles
    rows = raw / f"{modality}_feature.h5"
    folder = raw / "features" / modality
    of_clips = [path for path in (folder, folder.with_name(f"{modality}.zip")) if path.exists()]
    if of_clips and rows.exists():
        raise ShardError(
            explain(
                raw,
                expected=f"the released {modality} features in one form",
                found=f"{rows.name} and {of_clips[0].relative_to(raw).as_posix()}",
                remedy="move one away",
            )
        )
    return ClipFiles if of_clips else AnnotatedRows


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


def _require_space(release: Release, num_videos: int, output: Path) -> None:
    values = release.num_segments * math.prod(release.feature_shape)
    require_space(
        output,
        num_videos * values * release.storage.itemsize,
        task=f"import {release.modality}",
        subject=f"{release.modality} features of {num_videos} videos, {release.feature_shape} per segment",
        remedy="make room, or store float16",
    )


def _write_shards(
    release: Release, videos: Sequence[VideoFile], shard_size: int, output: Path, attributes: Mapping[str, str]
) -> tuple[list[ShardFile], list[LedgerRow]]:
    """Write all shards under temporary names; the rows of one are made as it is written."""
    shards: list[ShardFile] = []
    ledger = {video_id: failed_row(video_id, "missing", why) for video_id, why in release.missing.items()}
    num_present = len(videos) - len(ledger)
    with tqdm(total=num_present, unit="video", desc=f"import {release.modality}", disable=None) as progress:

        def rows(video_ids: Sequence[str]) -> Iterator[ShardRow]:
            for video_id in video_ids:
                shard_row, ledger[video_id] = release.take(video_id)
                if shard_row is not None:
                    yield shard_row
                progress.update()

        for group in shard_groups(videos, shard_size, release.num_segments):
            present = [video.video_id for video in group if video.video_id not in release.missing]
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
