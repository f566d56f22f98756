"""The commands and config snippets of the documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAIRS = [(ROOT / "README.md", ROOT / "README.zh-CN.md")]
PAIRS += [(page, ROOT / "docs" / "zh_CN" / page.name) for page in sorted((ROOT / "docs" / "en").glob("*.md"))]
_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`((?:PYTHONPATH=\S+ )?(?:python|bash|make|mapllava) [^`]+)`")


@dataclass(frozen=True)
class Command:
    """What a shell is given: page below the repository, line, text without comments, exit status."""

    page: str
    line: int
    text: str
    status: int = 0

    @property
    def where(self) -> str:
        """For instance 'docs/en/data.md:29'."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Block:
    """A fenced block: its page below the repository, line, language and text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def commands(self) -> list[Command]:
        """Lines of a shell, comments and continuations taken out; ``# exit status 1`` is what is expected."""
        found, held = [], ""
        for number, line in enumerate(self.text.splitlines(), self.line + 1):
            status = re.search(r"# exit status (\d+)", line)
            held += re.sub(r"(^|\s)#.*", "", line)
            if held.endswith("\\"):
                held = held[:-1]
                continue
            text = re.sub(r"\s+", " ", held).strip()
            if text:
                found.append(Command(self.page, number, text, int(status.group(1)) if status else 0))
            held = ""
        return found


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in some languages."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page.relative_to(ROOT).as_posix(), text[: found.start()].count("\n") + 1, *found.groups())
        for found in _BLOCK.finditer(text)
        if found.group(1) in languages
    ]


def inline_commands(page: Path) -> list[Command]:
    """Commands within a page's sentences and tables."""
    name = page.relative_to(ROOT).as_posix()
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    return [Command(name, number, text) for number, line in lines for text in _INLINE.findall(line)]


def all_commands() -> list[Command]:
    """Every command of README.md and docs/en; docs/zh_CN has the same blocks."""
    found = []
    for page, _ in PAIRS:
        found += [command for block in blocks(page, "bash") for command in block.commands]
        found += inline_commands(page)
    return found
