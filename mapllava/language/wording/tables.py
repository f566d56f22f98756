"""The tables of words and templates: text files, one entry a line, under ``[section]`` lines.

An entry after ``~`` is held out: no training pair holds it. ``#`` begins a line of comment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

LANGUAGES = ("en", "zh")
_FILES = ("templates.txt", "unanswerable.txt", "words.txt")
_HELD_OUT = "~ "


@dataclass(frozen=True)
class Section:
    """The entries of one section."""

    known: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()

    def entries(self, held_out: bool) -> tuple[str, ...]:
        """Those of one side, in the file's order."""
        return self.held_out if held_out else self.known


@dataclass(frozen=True)
class Template:
    """A sentence with slots for what differs between requests.

    Attributes:
        text: ``How many {things} are there {where}?``; its last character says what it is: ``?`` a
            question, ``.`` an order, ``;`` a statement, ``,`` a clause that needs a sentence around it; else
            a fragment.
        kinds: What is asked, one kind for each request of the sentence.
        sides: Sides that the template itself says ("the next crossing" is ahead).
        held_out: Whether it is kept for testing.
    """

    text: str
    kinds: tuple[str, ...]
    sides: tuple[str, ...] = ()
    held_out: bool = False

    @property
    def stands_alone(self) -> bool:
        """Whether it can stand beside another sentence: no clause, and no fragment.

        "Crossings ahead and dividers" of two fragments would be one request.
        """
        return self.text[-1] in ".;?。；？"


@cache
def sections(language: str) -> Mapping[str, Section]:
    """All sections of a language by name."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for name in _FILES:
        text = resources.files(__package__).joinpath(language, name).read_text(encoding="utf-8")
        for line in filter(None, map(str.strip, text.splitlines())):
            if line.startswith("#"):
                continue
            if line.startswith("["):
                known, held_out = found.setdefault(line[1:-1], ([], []))
            elif line.startswith(_HELD_OUT):
                held_out.append(line.removeprefix(_HELD_OUT))
            else:
                known.append(line)
    return {name: Section(tuple(known), tuple(held_out)) for name, (known, held_out) in found.items()}


@cache
def templates(language: str, kinds: Sequence[str]) -> tuple[Template, ...]:
    """All templates that ask for these kinds in this order, with the sides they say themselves.

    Args:
        language: One of :data:`LANGUAGES`.
        kinds: As a tuple; ``("none",)`` for what is no request.
    """
    head = " / ".join(kinds)
    return tuple(
        Template(text, tuple(kinds), tuple(name.removeprefix(head).removeprefix("; ").split()), held_out)
        for name, section in sections(language).items()
        if name == head or name.startswith(f"{head}; ")
        for held_out in (False, True)
        for text in section.entries(held_out)
    )


@cache
def several_kinds(language: str) -> tuple[tuple[str, ...], ...]:
    """Kinds of the templates that ask several things, in the file's order."""
    heads = (name.partition("; ")[0] for name in sections(language))
    return tuple(dict.fromkeys(tuple(head.split(" / ")) for head in heads if " / " in head))
