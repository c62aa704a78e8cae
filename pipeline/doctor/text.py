"""A diagnosis for people, conclusion first, and as plain values for JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pipeline.backbones import vggish
from pipeline.backbones.registry import BACKBONES
from pipeline.doctor.comparison import Comparison, Match
from pipeline.doctor.diagnosis import Diagnosis
from pipeline.doctor.values import CAFFE_LEAST_MAXIMUM, TORCHVISION_MOST_MAXIMUM, Shape, Values, pixel_scale
from pipeline.params.schema import Params
from pipeline.released.clip_files import LLP_FOLDERS

RECIPE_KEYS = (
    "source",
    "release",
    "backbone",
    "weights",
    "sampling",
    "frames_per_segment",
    "combine",
    "motion",
    "alignment",
    "postprocess",
)
"""Keys of a recipe that are worth a line."""

ORDERS = {
    "annotation order": "in annotation order",
    "sorted video ids": "sorted by video id",
    "as the file says": "as the file names them",
}

LLP_NUM_SEGMENTS = 10

NUM_SHOWN = 6
"""Number of matches in the table for people; JSON has them all."""


def describe(diagnosis: Diagnosis, params: Params) -> str:
    """Return what to print: a conclusion, what it rests on, and the settings that reproduce the features."""
    file, values = diagnosis.file, diagnosis.values
    lines = [f"{file.path}: {conclusion(diagnosis)}."]
    if diagnosis.comparison is not None or diagnosis.not_compared is not None:
        lines.append(_conclude_comparison(diagnosis) + ".")
    lines.append("")
    lines += _columns("file", [f"{file.kind}, {file.dtype} of shape {file.shape}"])
    lines += _columns("layout", _describe_layout(diagnosis))
    lines += _columns("looked at", [f"{values.num_rows} of {file.num_rows} rows, {values.num_segments} segments"])
    lines += _columns("values", _describe_values(values))
    lines += _columns("pixels", _describe_scale(diagnosis))
    lines += _columns("segments", _describe_segments(values))
    lines += _columns("rows", [_count(values.num_equal_rows, "row equals", "rows equal", "an earlier one")])
    lines += _columns("order", _describe_order(diagnosis))
    lines += _columns("recipe", _describe_recipe(diagnosis))
    if diagnosis.comparison is not None:
        lines += ["", *_describe_comparison(diagnosis.comparison, params)]
    return "\n".join(lines)


def conclusion(diagnosis: Diagnosis) -> str:
    """Return in a sentence what the file holds, without its full stop.

    The recipe that the file carries comes first, then the evidence of its values.
    """
    recipe, shape, values = diagnosis.file.recipe, diagnosis.shape, diagnosis.values
    if recipe is not None:
        said = ", ".join(f"{key} {_named(recipe[key])}" for key in RECIPE_KEYS if key in recipe)
        return f"features of this pipeline, by their own account: {said}"
    if values.num_not_finite:
        return f"unusable: {values.num_not_finite} values are NaN or infinite"
    if values.processing == "few_values":
        return "no features: hardly any different values"
    if shape is None:
        return f"segments of shape {diagnosis.file.segment_shape}, which no recipe makes; {_stored(diagnosis)}"
    return f"{_processed(shape, values)}; {_stored(diagnosis)}"


def _named(value: object) -> object:
    """Return what a conclusion says of a value of a recipe: of a stream, its network and weights."""
    if isinstance(value, Mapping):
        return " ".join(str(value[key]) for key in ("backbone", "weights") if key in value)
    return value


def _subject(shape: Shape) -> str:
    if shape.modality == "audio":
        return vggish.SUBJECT
    names = [shape.backbones[0], *([shape.motion] if shape.motion else [])]
    return " and ".join(BACKBONES[name].subject for name in names)


def _processed(shape: Shape, values: Values) -> str:
    normalised = ", every vector of length 1: L2-normalised" if values.is_unit_length else ""
    return f"{_last_step(shape, values)}{normalised}"


def _last_step(shape: Shape, values: Values) -> str:
    is_audio, subject = shape.modality == "audio", _subject(shape)
    if values.processing == "levels":
        how = "after PCA, quantised to 8 bits" if is_audio else "quantised to 8 bits"
        return f"{subject} {how}: whole numbers from 0 to 255"
    if values.levels is not None and values.processing == "dequantised":
        how = "after PCA, quantised to 8 bits" if is_audio else "quantised to 8 bits"
        levels = values.levels
        return f"{subject} {how} and mapped back: steps of {levels.step:.6g} from {levels.lowest:g} on"
    if values.processing != "signed" and shape.is_of_vectors and not is_audio:
        raw = "" if values.is_unit_length else "raw "
        return f"{raw}{subject}, none negative: averages of what follows a ReLU; not quantised"
    if values.processing == "rectified":
        if is_audio:
            return f"raw {subject} after the final ReLU: no PCA, not quantised"
        return f"{subject} after the final ReLU: not quantised"
    if values.processing == "averaged":
        return f"{subject}, none negative and few zero: averages of what follows a ReLU; not quantised"
    before = "before the final ReLU, after PCA without quantisation" if is_audio else "before the final ReLU, projected"
    return f"of the shape of {subject}, some negative: {before}, or normalised; not quantised"


def _stored(diagnosis: Diagnosis) -> str:
    """Say in which type the values were computed and are stored."""
    dtype, values = diagnosis.file.dtype, diagnosis.values
    if values.processing == "levels" or dtype.itemsize <= 2 or dtype.kind != "f":
        return f"stored as {dtype.name}"
    if values.is_float16_exact:
        return f"rounded to float16, stored as {dtype.name}"
    if dtype.itemsize == 4:
        return "stored as float32"
    return f"computed in {'float32' if values.is_float32_exact else 'float64'}, stored as {dtype.name}"


def _conclude_comparison(diagnosis: Diagnosis) -> str:
    comparison = diagnosis.comparison
    if diagnosis.not_compared is not None or comparison is None:
        return f"Not compared with videos: {diagnosis.not_compared}"
    best = comparison.matches[0]
    if comparison.verdict == "none":
        return (
            f"None of {comparison.num_candidates} candidates made it: the best correlates by {best.correlation:.4f}, "
            f"and {comparison.needed:.4f} is needed"
        )
    said = _join({**best.candidate.settings, "rows": ORDERS[best.order]})
    if comparison.verdict == "made":
        sentence = f"Made by {said} (correlation {best.correlation:.5f})"
    else:
        sentence = f"Nearest is {said} (correlation {best.correlation:.5f}): something else differs, be it the decoder"
    if len(comparison.ties) > 1:
        sentence += f"; {len(comparison.ties) - 1} more cannot be told from it by these videos"
    return sentence


def _describe_layout(diagnosis: Diagnosis) -> list[str]:
    """Say how a segment's features lie in the file, and which of LLP's files are so."""
    file, shape = diagnosis.file, diagnosis.shape
    if shape is None:
        return []
    lines = ["maps are stored channels first: (C, H, W)"] if shape.is_channels_first else []
    if shape.num_stacked and shape.is_of_vectors and not shape.motion:
        lines.append(f"{file.num_segments} segments of {shape.num_stacked} frames, a vector each")
    if shape.motion:
        (num_motion,) = BACKBONES[shape.motion].feature_shape
        num_appearance = file.segment_shape[0] - num_motion
        of_frames = f", of {shape.num_stacked} frames," if shape.num_stacked else ""
        lines.append(f"a segment is {num_appearance} features of appearance{of_frames} and then {num_motion} of motion")
    for folder in (folder for folders in LLP_FOLDERS.values() for folder in folders):
        frames = (folder.rows_per_segment,) if folder.rows_per_segment > 1 else ()
        if file.shape[:2] == (1, LLP_NUM_SEGMENTS) and file.segment_shape == (*frames, *(folder.row_shape or ())):
            num_rows = LLP_NUM_SEGMENTS * folder.rows_per_segment
            lines.append(f"one clip, as a file of LLP's `{folder.name}` is: ({num_rows}, {file.segment_shape[-1]})")
    return lines


def _describe_values(values: Values) -> list[str]:
    finite = f"{values.num_not_finite} NaN or infinite" if values.num_not_finite else "no NaN, no infinity"
    negative = f"{values.negative_share:.1%} negative" if values.negative_share else "none negative"
    lines = [
        f"{values.minimum:.6g} to {values.maximum:.6g}, {values.zero_share:.1%} zero, {negative}, "
        f"mean magnitude of those that are not zero {values.mean_magnitude:.4g}; {finite}"
    ]
    if values.vector_lengths is not None:
        lines.append("length of a vector {:.4g} to {:.4g}".format(*values.vector_lengths))
    return lines


def _describe_scale(diagnosis: Diagnosis) -> list[str]:
    shape, values = diagnosis.shape, diagnosis.values
    if not _has_pixel_scale(shape, values):
        return []
    plausible = {
        "caffe": "plausibly 0 to 255 minus a mean, as Caffe's weights expect (`visual.weights: keras`)",
        "torchvision": "plausibly normalised, as torchvision's weights expect (`visual.weights: torchvision`)",
        "unclear": "not clear from the values",
    }[pixel_scale(values)]
    return [
        f"{plausible}: largest value {values.maximum:.4g}",
        f"a rule of thumb, not checked: Caffe from {CAFFE_LEAST_MAXIMUM:g} on, torchvision up to "
        f"{TORCHVISION_MOST_MAXIMUM:g}; it says nothing about other weights",
    ]


def _has_pixel_scale(shape: Shape | None, values: Values) -> bool:
    """Whether the largest value is one of maps of VGG19, which say something about the pixels."""
    is_of_vgg19 = shape is not None and "vgg19" in shape.backbones and shape.motion is None
    return is_of_vgg19 and values.processing == "rectified"


def _describe_segments(values: Values) -> list[str]:
    masked = f", {values.num_masked_segments} masked" if values.num_masked_segments else ""
    return [_count(values.num_zero_segments, "segment is", "segments are", "zero throughout") + masked]


def _count(number: int, one: str, several: str, what: str) -> str:
    return f"no {one} {what}" if number == 0 else f"{number} {one if number == 1 else several} {what}"


def _describe_order(diagnosis: Diagnosis) -> list[str]:
    order, file = diagnosis.order, diagnosis.file
    if file.video_ids is not None:
        return ["the file names the video of each row"]
    if order is None:
        return ["not known: there is no Annotations.txt beside the file, and none was named"]
    annotated = f"{order.annotations.name} has {order.num_annotated} rows of {order.num_videos} videos"
    if not order.orders:
        return [f"not known: {file.num_rows} rows do not fit, {annotated}"]
    lines = [f"{file.num_rows} rows fit, {annotated}"]
    if order.num_pairs:
        lines += [
            f"in {name}, {equal} of {order.num_pairs} pairs of rows of one video are equal"
            for name, equal in order.num_equal.items()
        ]
    if len(order.orders) == 1:
        return [*lines, "sorted video ids would be the same order"]
    return [*lines, f"so the order is: {order.told}" if order.told else "so the order cannot be told without videos"]


def _describe_recipe(diagnosis: Diagnosis) -> list[str]:
    if diagnosis.file.recipe is None:
        return []
    return list(diagnosis.differences) or ["the one that params.yaml asks for"]


def _describe_comparison(comparison: Comparison, params: Params) -> list[str]:
    lines = _columns("compared", [f"{len(comparison.video_ids)} videos: {', '.join(comparison.video_ids) or 'none'}"])
    lines += _columns("left out", [*comparison.unavailable_weights, *comparison.unusable_videos])
    if not comparison.matches:
        return lines
    shared = _shared_settings(comparison.matches)
    lines += ["", f"correlation  difference  segments  recipe, all with {_join(shared)}"]
    for match in comparison.matches[:NUM_SHOWN]:
        own = {key: value for key, value in match.candidate.settings.items() if key not in shared}
        percent = 100 * match.relative_difference
        lines.append(
            f"{match.correlation:11.5f}  {f'{percent:.2f} %' if percent < 1000 else '> 1000 %':>10}  "
            f"{match.num_segments:8}  {_join({**own, 'rows': ORDERS[match.order]})}"
        )
    best = comparison.matches[0]
    if len(comparison.matches) > NUM_SHOWN:
        lines.append(f"and {len(comparison.matches) - NUM_SHOWN} worse ones")
    lines.append(f"segments that do not belong together: {best.mismatched_correlation:.5f} with the first recipe")
    if comparison.verdict != "none" and len(comparison.ties) > 1:
        lines += ["", f"These videos cannot tell the first {len(comparison.ties)} apart; name others, or more."]
    if comparison.verdict != "none":
        lines += ["", "In params.yaml:", *_as_params(best, params)]
    return lines


def _as_params(match: Match, params: Params) -> list[str]:
    """Return the lines of ``params.yaml`` that say this recipe, with what stands there now where that differs."""
    modality = match.candidate.modality
    lines, section = [f"{modality}:"], getattr(params, modality).model_dump()
    settings = {key.split(".")[1]: value for key, value in match.candidate.settings.items()}
    if section.get("motion") is not None:
        settings.setdefault("motion", None)
    for name, value in settings.items():
        now = section[name]
        lines.append(f"  {name}: {_yaml(value)}" + (f"    # now: {_yaml(now)}" if now != value else ""))
    return lines


def _yaml(value: object) -> str:
    """Return a value as ``params.yaml`` has it.

    >>> _yaml({"backbone": "r2plus1d_18", "weights_sha256": None})
    '{backbone: r2plus1d_18, weights_sha256: null}'
    """
    if isinstance(value, Mapping):
        return f"{{{_join(value)}}}"
    return "null" if value is None else str(value)


def _shared_settings(matches: Iterable[Match]) -> dict[str, Any]:
    """Return the settings that all matches have with one value."""
    first, *others = (match.candidate.settings for match in matches)
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def _join(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {_yaml(value)}" for key, value in settings.items())


def _columns(label: str, lines: Iterable[str]) -> list[str]:
    """Return `lines` in a column, the first one labelled."""
    return [f"{label if number == 0 else '':<11} {line}" for number, line in enumerate(lines)]


def as_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the diagnosis as values that JSON has."""
    file, shape, values, order = diagnosis.file, diagnosis.shape, diagnosis.values, diagnosis.order
    return {
        "conclusion": conclusion(diagnosis),
        "file": {
            "path": str(file.path),
            "kind": file.kind,
            "shape": list(file.shape),
            "dtype": file.dtype.name,
            "names_videos": file.video_ids is not None,
            "recipe": file.recipe,
        },
        "shape": None if shape is None else {**asdict(shape), "backbones": list(shape.backbones)},
        "values": asdict(values),
        "pixel_scale": pixel_scale(values) if _has_pixel_scale(shape, values) else None,
        "differences": list(diagnosis.differences),
        "order": None
        if order is None
        else {
            "annotations": str(order.annotations),
            "num_annotated": order.num_annotated,
            "num_videos": order.num_videos,
            "fits": [possible.name for possible in order.orders],
            "num_pairs": order.num_pairs,
            "num_equal": order.num_equal,
            "told": order.told,
        },
        "comparison": None if diagnosis.comparison is None else _comparison_as_dict(diagnosis.comparison),
        "not_compared": diagnosis.not_compared,
    }


def _comparison_as_dict(comparison: Comparison) -> dict[str, Any]:
    return {
        "verdict": comparison.verdict,
        "needed": comparison.needed,
        "num_ties": len(comparison.ties),
        "videos": list(comparison.video_ids),
        "unusable_videos": list(comparison.unusable_videos),
        "unavailable_weights": list(comparison.unavailable_weights),
        "matches": [
            {
                "params": match.candidate.settings,
                "order": match.order,
                "correlation": match.correlation,
                "mismatched_correlation": match.mismatched_correlation,
                "relative_difference": match.relative_difference,
                "num_segments": match.num_segments,
            }
            for match in comparison.matches
        ],
    }
