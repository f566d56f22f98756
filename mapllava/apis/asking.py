"""From words to requests: canonical texts as they are, sentences by a parser, and never by guessing."""

from __future__ import annotations

from collections.abc import Sequence

from mapllava.errors import MapLLaVAError
from mapllava.language import Distance, Parsed, Parser, Region, Request, read_requests
from mapllava.language.request import KINDS, WITHOUT_CLASSES

_EXAMPLES = {
    "draw": ("draw the {many} within 20 m ahead", "画出前方20米以内的{one}"),
    "count": ("how many {many} are there on the left?", "左边有几条{one}？"),
    "exists": ("is there a {one} within 15 m?", "15米以内有没有{one}？"),
    "distance": ("how far is the next {one}?", "前方的{one}有多远？"),
    "nearest": ("where is the nearest {one}?", "最近的{one}在哪里？"),
    "side": ("is the nearest {one} left or right?", "最近的{one}在左边还是右边？"),
    "lanes": ("how many lanes are there on the right?", "右边有几条车道？"),
    "junction": ("is there a junction ahead?", "前面有路口吗？"),
    "describe": ("describe what lies ahead", "描述一下前方"),
}
_REGIONS = {
    "draw": Region(("ahead",), Distance("within", (20.0,))),
    "count": Region(("left",)),
    "exists": Region((), Distance("within", (15.0,))),
    "distance": Region(("ahead",)),
    "lanes": Region(("right",)),
    "junction": Region(("ahead",)),
    "describe": Region(("ahead",)),
}
_NAMES = {
    "divider": ("divider", "车道分隔线"),
    "ped_crossing": ("crossing", "人行横道"),
    "boundary": ("road boundary", "道路边界"),
}
_REST = (
    "classes: {}\nregions: ahead, behind, left, right, and two of them together; within 20 m, "
    "between 5 and 15 m, at 20 m\nthe form on the right needs no parser; ' / ' stands between several",
    "类别：{}\n区域：前方、后方、左侧、右侧及其组合；20 米以内、5 到 15 米之间、20 米处\n"
    "右侧的写法无需解析器；多个请求之间用“ / ”隔开",
)


class NotUnderstoodError(MapLLaVAError):
    """A sentence is not understood, or not surely enough; nothing was answered.

    Attributes:
        parsed: What the parser made of it.
    """

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        super().__init__(
            f"'{parsed.text}' is not understood ({taken_for(parsed)}); "
            "mapllava ask --help and docs/en/language.md say what can be asked"
        )


def understand(text: str, classes: Sequence[str], parser: Parser | None = None) -> Parsed:
    """Read what is asked.

    Args:
        text: A canonical text, such as ``distance: ped_crossing; ahead``, or a sentence.
        classes: Names of the map's classes.
        parser: Reads sentences; None where there is none.

    Raises:
        NotUnderstoodError: If the parser does not understand it, or is not sure enough.
        MapLLaVAError: If it looks canonical and is not, or it is a sentence and there is no parser; says
            what to do.
    """
    text = text.strip()
    if not text:
        raise MapLLaVAError("nothing is asked: the text is empty")
    if text.partition(":")[0] in KINDS:
        return Parsed(text, read_requests(text, classes), 1.0, text)
    if parser is None:
        raise MapLLaVAError(
            f"'{text}' is a sentence, which needs a parser: take the package's (mapllava get smollm2, then "
            "--parser demo), train one (mapllava train language/ask_synthetic) and name its best_model.pth "
            "(--parser FILE; load_model(…, parser=FILE)), or write the canonical form, for instance "
            f"'{_example('distance', classes).text}' (docs/en/language.md)"
        )
    (parsed,) = parser.parse([text], classes)
    if not parsed.requests:
        raise NotUnderstoodError(parsed)
    return parsed


def refusal(parsed: Parsed, classes: Sequence[str], language: str = "en") -> str:
    """What to tell whose sentence is not understood: what it was taken for, and what can be asked."""
    taken = taken_for(parsed, language)
    if language == "zh":
        head = f"没有听懂“{parsed.text}”（{taken}）。可以这样问："
    else:
        head = f"'{parsed.text}' is not understood ({taken}). What can be asked:"
    return f"{head}\n{what_can_be_asked(classes, language)}"


def taken_for(parsed: Parsed, language: str = "en") -> str:
    """What a sentence that is refused was taken for, and how surely."""
    if language == "zh":
        return f"最接近“{parsed.canonical}”，把握 {parsed.confidence:.0%}"
    return f"taken for '{parsed.canonical}', {parsed.confidence:.0%} sure"


def what_can_be_asked(classes: Sequence[str], language: str = "en") -> str:
    """All kinds of requests with an example each, in words and in canonical form; the classes and regions.

    Args:
        classes: Names of the map's classes.
        language: ``en`` or ``zh``.
    """
    place = ("en", "zh").index(language)
    rows = []
    for kind in KINDS:
        request = _example(kind, classes)
        name = request.classes[0] if request.classes else classes[0]
        one = _NAMES.get(name, (name.replace("_", " "), name))[place]
        words = _EXAMPLES[kind][place].format(one=one, many=f"{one}s")
        wide = sum(1 + (ord(letter) > 0x2E7F) for letter in words)  # Chinese letters take two columns
        rows.append(f"  {words}{' ' * max(2, 44 - wide)}{request.text}")
    named = ", ".join(f"{name} ({_NAMES[name][place]})" if name in _NAMES else name for name in classes)
    return "\n".join([*rows, _REST[place].format(named)])


def language_of(text: str) -> str:
    """``zh`` for a text with Chinese letters, else ``en``."""
    return "zh" if any("\u4e00" <= letter <= "\u9fff" for letter in text) else "en"


def _example(kind: str, classes: Sequence[str]) -> Request:
    name = "ped_crossing" if "ped_crossing" in classes else classes[0]
    named = () if kind in WITHOUT_CLASSES or len(classes) == 1 else (name,)
    return Request(kind, named, _REGIONS.get(kind, Region()))
