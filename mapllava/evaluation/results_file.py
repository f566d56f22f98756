"""The results file: predicted maps as JSON, enough to be scored or drawn without the model.

Form (metres in the named frame; ``points`` is L lines of n vertices; no protocol, no score)::

    {"format_version": 1, "frame": "lidar", "roi": [x_min, y_min, x_max, y_max],
     "classes": ["divider", "ped_crossing", "boundary"], "split": "val", "version": "v1.0-trainval",
     "results": {"<sample_token>": {"points": [[[x, y], …], …], "labels": [0, …], "scores": [0.93, …]}}}

It may say more: ``display`` (from which score on a line is shown, and why), ``samples`` (where and when a
sample was, its cameras and images), see :mod:`mapllava.evaluation.sample_record`, and ``prompt`` (``text``,
what somebody asked to see; ``request``, how it was understood): its maps are cut by that request then, and
hold what was drawn alone. Written by :mod:`mapllava.evaluation.results_writer`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.sample_record import Display, SampleRecord, display_from_json, record_from_json
from mapllava.files import read_json_object
from mapllava.gt_cache.schema import spec_of
from mapllava.language import Parsed, read_requests
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_lines import MapLines

FORMAT_VERSION = 1
COMPACT: dict[str, Any] = {"indent": None, "separators": (",", ":"), "allow_nan": False}
"""How results files are written, ours and others': large, and finite numbers only."""

NO_PREDICTION: dict[str, Any] = {"points": [], "labels": [], "scores": []}
UNKNOWN = "unknown"
"""Split of results whose file names none."""

_KEYS = ("format_version", "frame", "roi", "classes", "split", "results")


@dataclass
class MapResults:
    """Predicted maps and what they are.

    Args:
        map_spec: Frame, region of interest and classes of the predictions.
        split: Name of the split the samples come from.
        results: Sample token to ``points`` (list of ``(n, 2)`` arrays, metres), ``labels`` (K,)
            int64 and ``scores`` (K,) float64.
        version: Version of the source tables, e.g. ``v1.0-trainval``; None if not known.
        source: The file they were read from, for errors; empty if they were made in memory.
        samples: Sample token to what else is known of it; of all samples, of some or of none.
        display: From which score on a line is shown; None if the file does not say.
        prompt: What the maps were cut by; None for whole maps.
    """

    map_spec: MapSpec
    split: str
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: str | None = None
    source: str = ""
    samples: dict[str, SampleRecord] = field(default_factory=dict)
    display: Display | None = None
    prompt: Parsed | None = None

    @property
    def name(self) -> str:
        """How errors call it: ``results file '<path>'``, or ``the results``."""
        return f"results file '{self.source}'" if self.source else "the results"

    def refuse_part(self, wrong: str) -> None:
        """Say what is ``wrong`` with using maps that a prompt has cut as whole ones.

        Raises:
            MapLLaVAError: If a prompt has cut them.
        """
        if self.prompt is not None:
            raise MapLLaVAError(
                f"{self.name}: its maps are cut by the prompt '{self.prompt.canonical}', and {wrong}: "
                "predict without --prompt"
            )

    def lines(self, token: str) -> MapLines:
        """The map of a sample; an empty one where the file has none of it."""
        entry = self.results.get(token, NO_PREDICTION)
        labels = np.asarray(entry["labels"], dtype=np.int64)
        return MapLines(list(entry["points"]), labels, np.asarray(entry["scores"], dtype=np.float64))


def load_results(path: str | Path, expected: MapSpec | None = None) -> MapResults:
    """Read and check a results file.

    Args:
        path: The file.
        expected: The specification the maps must have; None takes any.

    Raises:
        MapLLaVAError: If the file is missing, is no results file, has another format version, is
            for another map than expected, or an entry does not fit; the text names file and key.
    """
    return parse_results(read_json_object(path, "results file"), path, expected)


def parse_results(body: Mapping[str, Any], path: str | Path, expected: MapSpec | None = None) -> MapResults:
    """Check the content of a results file; arguments and errors as :func:`load_results`.

    Args:
        body: The file's JSON object.
        path: The file, for errors.
        expected: The specification the maps must have; None takes any.
    """
    _check_head(body, path)
    try:
        spec = spec_of(body)
    except MapLLaVAError as error:
        raise MapLLaVAError(f"results file '{path}': {error}; predict again, or repair this") from error
    if expected is not None and spec != expected:
        raise MapLLaVAError(
            f"results file '{path}' holds maps of {spec}, but {expected} is wanted: "
            "predict again, or give the map_spec it was made with"
        )
    entries = {}
    for token, entry in body["results"].items():
        try:
            entries[token] = check_map(entry, spec.num_classes)
        except ValueError as error:
            raise MapLLaVAError(
                f"results file '{path}', sample {token}: {error}; predict again, or repair this entry"
            ) from error
    results = MapResults(spec, body["split"], entries, body.get("version"), str(path))
    _add_what_else_is_known(results, body, Path(path))
    return results


def _add_what_else_is_known(results: MapResults, body: Mapping[str, Any], path: Path) -> None:
    remedy = "predict again, or repair this entry"
    try:
        if body.get("display") is not None:
            results.display = display_from_json(body["display"], results.map_spec.classes)
        if body.get("prompt") is not None:
            results.prompt = prompt_from_json(body["prompt"], results.map_spec.classes)
        if not isinstance(body.get("samples", {}), Mapping):
            raise ValueError(f"'samples' is {short(body['samples'])}, not an object")
    except ValueError as error:
        raise MapLLaVAError(f"results file '{path}': {error}; {remedy}") from error
    for token, record in body.get("samples", {}).items():
        try:
            if token not in results.results:
                raise ValueError("it is in 'samples', but not in 'results'")
            results.samples[token] = record_from_json(record, path.parent)
        except ValueError as error:
            raise MapLLaVAError(f"results file '{path}', sample {token}: {error}; {remedy}") from error


def prompt_to_json(prompt: Parsed) -> dict[str, str]:
    """As it stands in a results file."""
    return {"text": prompt.text, "request": prompt.canonical}


def prompt_from_json(value: Any, classes: Sequence[str]) -> Parsed:
    """Inverse of :func:`prompt_to_json`.

    Raises:
        ValueError: If a text is missing, or the request is not canonical; names the key.
    """
    known = value if isinstance(value, Mapping) else {}
    text, request = known.get("text"), known.get("request")
    if not isinstance(text, str) or not isinstance(request, str):
        raise ValueError(f"prompt is {short(value)}, not the texts 'text' and 'request'")
    try:
        return Parsed(text, read_requests(request, classes), 1.0, request)
    except MapLLaVAError as error:
        raise ValueError(f"prompt.{error}") from error


def _check_head(body: Mapping[str, Any], path: str | Path) -> None:
    missing = [key for key in _KEYS if key not in body]
    if missing:
        raise MapLLaVAError(
            f"results file '{path}' lacks {missing}: it is no results file of mapllava, or a damaged "
            "one; predict again"
        )
    if body["format_version"] != FORMAT_VERSION:
        raise MapLLaVAError(
            f"results file '{path}' has format version {body['format_version']!r}, this release reads "
            f"{FORMAT_VERSION}: predict again"
        )
    for key, kinds in (("split", (str,)), ("version", (str, type(None))), ("results", (dict,))):
        if not isinstance(body.get(key), kinds):
            raise MapLLaVAError(
                f"results file '{path}': '{key}' is {short(body.get(key))}, not a {kinds[0].__name__}: "
                "predict again, or repair this entry"
            )


def check_map(
    entry: Any, num_classes: int, line_name: str = "points[{}]", score_name: str = "scores[{}]"
) -> dict[str, Any]:
    """Check one sample's map and turn it into arrays.

    Args:
        entry: Mapping with the lists ``points``, ``labels`` and ``scores``.
        num_classes: Labels are below it.
        line_name: How errors call line ``{}``, in the words of the file it comes from.
        score_name: How errors call score ``{}``.

    Returns:
        ``points`` (list of ``(n, 2)`` float64), ``labels`` (K,) int64, ``scores`` (K,) float64.

    Raises:
        ValueError: If something is missing, is no list of numbers, has the wrong shape, or is not
            finite; names the key.
    """
    keys = ("points", "labels", "scores")
    missing = [key for key in keys if not isinstance(entry, Mapping) or key not in entry]
    if missing:
        raise ValueError(f"its map lacks {missing}")
    for key, name in zip(keys, (line_name, "labels[{}]", score_name), strict=True):
        if not isinstance(entry[key], list):
            raise ValueError(f"'{name.partition('[')[0]}' is {short(entry[key])}, not a list")
    if not len(entry["points"]) == len(entry["labels"]) == len(entry["scores"]):
        raise ValueError("{} lines, {} labels, {} scores".format(*(len(entry[key]) for key in keys)))
    points = [_line(line, line_name.format(k)) for k, line in enumerate(entry["points"])]
    for k, score in enumerate(entry["scores"]):
        if not _is_number(score) or not math.isfinite(score):
            raise ValueError(f"{score_name.format(k)} is {short(score)}, not a finite number")
    for k, label in enumerate(entry["labels"]):
        if type(label) is not int or not 0 <= label < num_classes:
            raise ValueError(f"labels[{k}] is {short(label)}, not an integer in 0..{num_classes - 1}")
    labels, scores = np.array(entry["labels"], dtype=np.int64), np.array(entry["scores"], dtype=np.float64)
    return {"points": points, "labels": labels, "scores": scores}


def _line(value: Any, name: str) -> np.ndarray:
    try:
        line = np.asarray(value)
    except ValueError:  # lists of different lengths, or too deep
        line = np.empty(0, dtype=object)
    if line.dtype.kind not in "iuf":
        raise ValueError(f"{name} is {short(value)}, not a list of [x, y] in numbers")
    if line.ndim != 2 or line.shape[1] != 2:
        raise ValueError(f"{name} has shape {line.shape}, not (n, 2)")
    if not np.isfinite(line).all():
        raise ValueError(f"{name} has a coordinate that is not finite")
    return line.astype(np.float64)


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 1 << 53)


def check_fits(results: MapResults, cache: Mapping[str, Any]) -> MapSpec:
    """Check that predicted maps are about what a GT cache holds.

    Args:
        results: What :func:`load_results` returns.
        cache: What :func:`mapllava.gt_cache.load` returns.

    Returns:
        Frame, region and classes of both.

    Raises:
        MapLLaVAError: If the two are about different maps, splits or versions, or the results hold
            no sample or samples that the cache does not.
    """
    meta = cache["metainfo"]
    spec = spec_of(meta)
    if spec != results.map_spec:
        raise MapLLaVAError(
            f"{results.name}: it holds maps of {results.map_spec}, but the GT cache holds {spec}: use the "
            "cache whose frame, region and classes the model was trained on"
        )
    if results.split not in (UNKNOWN, meta.get("split", results.split)):
        raise MapLLaVAError(
            f"{results.name}: it was predicted on split {results.split}, the GT cache holds split "
            f"{meta['split']}: use the cache of the same split"
        )
    version = meta.get("version")
    if None not in (results.version, version) and results.version != version:
        raise MapLLaVAError(
            f"{results.name}: it was predicted on version {results.version}, the GT cache holds {version}: "
            "use the cache of the same version"
        )
    foreign = sorted(set(results.results) - {entry["sample_token"] for entry in cache["data_list"]})
    if foreign:
        raise MapLLaVAError(
            f"{results.name}: {len(foreign)} samples (split {results.split}) are not in the GT cache "
            f"(split {meta.get('split')}), the first of them {foreign[0]}: use the cache of the same split"
        )
    if not results.results:
        raise MapLLaVAError(f"{results.name}: it holds no sample at all: predict again")
    return spec
