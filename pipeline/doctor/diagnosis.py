"""The diagnosis of a file of features: everything that can be found out about what made it, in one answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.backbones.registry import BACKBONES
from pipeline.core.devices import choose_device
from pipeline.core.errors import PipelineError, WeightsError, explain
from pipeline.doctor.candidates import find_candidates
from pipeline.doctor.comparison import Comparison, compare
from pipeline.doctor.orders import Order, OrderEvidence, examine_order
from pipeline.doctor.source import FeatureFile, frames_by_segment, open_features
from pipeline.doctor.values import Shape, Values, examine_values, recognise
from pipeline.features.recipes import feature_recipe
from pipeline.params.schema import Params

NUM_ROWS = 256
NUM_VIDEOS = 4


@dataclass(frozen=True)
class Diagnosis:
    """The findings about a file.

    Parameters
    ----------
    file : FeatureFile
    shape : Shape, optional
        Modality and networks that make segments of that shape; None if none is known.
    values : Values
    differences : tuple of str
        Differences of the recipe that the file carries from the one of ``params.yaml``, in words.
    order : OrderEvidence, optional
        Given where there are annotations and the file does not name its videos itself.
    comparison : Comparison, optional
        With videos.
    not_compared : str, optional
        Reason why there is no comparison although there are videos.
    """

    file: FeatureFile
    shape: Shape | None
    values: Values
    differences: tuple[str, ...]
    order: OrderEvidence | None
    comparison: Comparison | None
    not_compared: str | None


def diagnose(
    path: Path,
    params: Params,
    *,
    annotations: Path | None = None,
    videos: Path | None = None,
    num_rows: int = NUM_ROWS,
    num_videos: int = NUM_VIDEOS,
) -> Diagnosis:
    """Find out what made the features in `path`.

    Parameters
    ----------
    path : Path
        A shard, a folder of shards, a released HDF5 file or a ``.npy`` array.
    params : Params
        The recipe to compare with, and everything else that the candidates have in common.
    annotations : Path, optional
        ``Annotations.txt``; by default the one beside the file, if there is one.
    videos : Path, optional
        Folder of media files, each named by its video's id. Without it nothing is extracted.
    num_rows : int, optional
        About how many rows to look at.
    num_videos : int, optional
        How many videos to extract.

    Raises
    ------
    ShardError
        If the file holds no features, or is damaged.
    AnnotationError
        If the annotations that were named are missing or have another form.
    PipelineError
        If `videos` is no folder, or a count is not positive.
    """
    for name, count in (("num_rows", num_rows), ("num_videos", num_videos)):
        if count < 1:
            raise PipelineError(explain(name, expected="1 or more", found=count, remedy="look at some"))
    if videos is not None and not videos.is_dir():
        raise PipelineError(
            explain(videos, expected="a folder of videos", found="none", remedy="name the folder that holds them")
        )
    file = open_features(path)
    beside = path.parent / "Annotations.txt"
    annotations = annotations or (beside if beside.is_file() else None)
    order = examine_order(file, annotations) if annotations and file.video_ids is None else None
    shape = recognise(file.segment_shape)
    if shape is not None and _is_of_frames(shape):
        file = frames_by_segment(file, params.dataset.num_segments)
        shape = recognise(file.segment_shape)
    comparison, not_compared = None, None
    if videos is not None:
        comparison, not_compared = _compare(file, shape, order, params, videos, num_videos)
    return Diagnosis(
        file,
        shape,
        examine_values(file, num_rows),
        _differences(file, shape, params),
        order,
        comparison,
        not_compared,
    )


def _is_of_frames(shape: Shape) -> bool:
    """Whether segments of this shape may be single frames of clips: vectors of a network that sees single frames."""
    networks = [BACKBONES[name] for name in shape.backbones if shape.modality == "visual"]
    return not (shape.num_stacked or shape.motion) and any(
        len(network.feature_shape) == 1 and not network.is_of_snippets for network in networks
    )


def _differences(file: FeatureFile, shape: Shape | None, params: Params) -> tuple[str, ...]:
    if file.recipe is None or shape is None:
        return ()
    try:
        asked = feature_recipe(params, shape.modality)
    except WeightsError as error:
        return (str(error),)
    return tuple(
        f"{key} is {file.recipe.get(key)!r} in the file and {asked.get(key)!r} by params.yaml"
        for key in dict.fromkeys([*file.recipe, *asked])
        if file.recipe.get(key) != asked.get(key)
    )


def _compare(
    file: FeatureFile,
    shape: Shape | None,
    order: OrderEvidence | None,
    params: Params,
    folder: Path,
    num_videos: int,
) -> tuple[Comparison | None, str | None]:
    """Return the comparison with videos, or else why there is none."""
    orders: Sequence[Order] = order.orders if order else ()
    if file.video_ids is not None:
        orders = [Order("as the file says", file.video_ids)]
    paths = _media_files(folder)
    if shape is None:
        return None, f"no recipe makes segments of shape {file.segment_shape}"
    if not orders:
        return None, "which video each row is of is not known; name the Annotations.txt that has as many rows"
    if not paths.keys() & set(orders[0].video_ids):
        return None, f"no file in {folder} is named by the id of a row, such as {orders[0].video_ids[0]}.mp4"
    comparison = compare(
        file,
        orders,
        paths,
        find_candidates(params, shape, file.num_segments, file.recipe),
        choose_device(params.extract.device),
        num_videos=num_videos,
        is_channels_first=shape.is_channels_first,
    )
    if comparison.matches:
        return comparison, None
    if not comparison.video_ids:
        return comparison, "none of the videos can be decoded"
    if not comparison.num_candidates:
        return comparison, "no weights to extract with"
    return comparison, "the videos and the rows have no segment in common"


def _media_files(folder: Path) -> dict[str, Path]:
    """Return the files of a folder by the id that names them; of several with one id the .mp4, or else the first."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    files.sort(key=lambda path: path.suffix != ".mp4")
    paths: dict[str, Path] = {}
    for path in files:
        paths.setdefault(path.stem, path)
    return paths
