"""Writing a results file: a sample at a time, so that its length does not matter, or in one go."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from mapllava.evaluation.results_file import COMPACT, FORMAT_VERSION, UNKNOWN, MapResults, prompt_to_json
from mapllava.evaluation.sample_record import Display, SampleRecord, display_to_json, record_to_json
from mapllava.files import cannot_write, stream_text
from mapllava.language import Parsed
from mapllava.structures.frames import MapSpec


def save_results(path: str | Path, results: MapResults) -> Path:
    """Write a results file; a reader never sees half of one.

    Args:
        path: File to write; its folder is made.
        results: The maps. Coordinates are rounded to 0.1 mm; scores keep every digit, so that
            no two of them become equal.

    Returns:
        The path.

    Raises:
        ValueError: If a coordinate or score is not finite; names the sample.
    """
    facts = (results.map_spec, results.split, results.version, results.display, results.prompt)
    with write_results_stream(path, *facts) as stream:
        for token, entry in results.results.items():
            stream.add(token, entry, results.samples.get(token))
    return Path(path)


@contextmanager
def write_results_stream(
    path: str | Path,
    map_spec: MapSpec,
    split: str = UNKNOWN,
    version: str | None = None,
    display: Display | None = None,
    prompt: Parsed | None = None,
) -> Iterator[ResultsStream]:
    """Write a results file of any length; it appears when the block ends, whole, or not at all.

    Args:
        path: File to write; its folder is made.
        map_spec: Frame, region of interest and classes of the predictions.
        split: Name of the split the samples come from.
        version: Version of the source tables; None if not known.
        display: From which score on a line is shown; None says nothing of it.
        prompt: What the maps are cut by; None for whole ones.

    Yields:
        What takes the samples.

    Raises:
        MapLLaVAError: If the file cannot be written; names it.
    """
    head: dict[str, Any] = {"format_version": FORMAT_VERSION, **map_spec.to_config()}
    head.update(split=split, version=version)
    if display is not None:
        head["display"] = display_to_json(display)
    if prompt is not None:
        head["prompt"] = prompt_to_json(prompt)
    with stream_text(path) as write, _records_file(Path(path)) as records:
        stream = ResultsStream(Path(path), write, records)
        write(json.dumps(head, **COMPACT)[:-1] + ',"results":{')
        yield stream
        stream.finish()


class ResultsStream:
    """Takes the samples of a results file; made by :func:`write_results_stream`."""

    def __init__(self, path: Path, write: Any, records: IO[str]) -> None:
        self.path = path
        self._write = write
        self._records = records
        self._tokens: set[str] = set()
        self._num_records = 0

    def add(self, token: str, entry: Mapping[str, Any], record: SampleRecord | None = None) -> None:
        """Write one sample.

        Args:
            token: Its name, unique in the file.
            entry: ``points`` (lines ``(n, 2)``, metres), ``labels`` and ``scores``.
            record: Where and when it was, and its images; None if not known.

        Raises:
            ValueError: If a number is not finite, or the token was there before; names it.
            MapLLaVAError: If it cannot be written.
        """
        if token in self._tokens:
            raise ValueError(f"sample {token} comes a second time in '{self.path}'")
        text = json.dumps(plain_map(token, entry), **COMPACT)
        if record is not None:
            self._add_record(token, record)
        self._write(f"{',' if self._tokens else ''}{json.dumps(token)}:{text}")
        self._tokens.add(token)

    def _add_record(self, token: str, record: SampleRecord) -> None:
        try:
            text = json.dumps(record_to_json(record, self.path.parent), **COMPACT)
        except ValueError as error:
            raise ValueError(f"sample {token}: a pose or camera holds a number that is not finite") from error
        try:
            self._records.write(f"{',' if self._num_records else ''}{json.dumps(token)}:{text}")
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._num_records += 1

    def finish(self) -> None:
        """Put the records behind the maps, and end the file."""
        self._write("}")
        if self._num_records:
            self._write(',"samples":{')
            self._records.seek(0)
            while text := self._records.read(1 << 20):
                self._write(text)
            self._write("}")
        self._write("}\n")


def _records_file(path: Path) -> IO[str]:
    """Where the records wait, beside the file they come into; nameless, and gone with its process."""
    try:
        return tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def plain_map(token: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """One sample's map as builtins.

    Args:
        token: The sample, for errors.
        entry: ``points``, ``labels`` and ``scores``.

    Raises:
        ValueError: If a number is not finite; names the sample.
    """
    lines = [np.asarray(line, dtype=np.float64) for line in entry["points"]]
    scores = np.asarray(entry["scores"], dtype=np.float64).reshape(-1)
    if not (np.isfinite(scores).all() and all(np.isfinite(line).all() for line in lines)):
        raise ValueError(f"sample {token}: a coordinate or score is not finite; nothing was written")
    return {
        "points": [np.round(line, 4).tolist() for line in lines],
        "labels": np.asarray(entry["labels"]).reshape(-1).astype(int).tolist(),
        "scores": scores.tolist(),
    }
