"""Lengths as a person says them: digits, or number words in English and Chinese."""

from __future__ import annotations

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_DIGITS = "零一二三四五六七八九"


def has_words(value: float) -> bool:
    """Whether there are words for a number."""
    return value < 1000


def digits(value: float) -> str:
    """As the canonical text writes it."""
    return f"{value:.10g}"


def english(value: float, style: int = 0) -> str:
    """``a hundred and five``; ``two and a half``; ``fifteen point two five``.

    Args:
        value: Such that :func:`has_words`.
        style: 0 or 1: ``a hundred and five`` and ``two and a half``, or ``one hundred five`` and
            ``two point five``.
    """
    whole, _, behind = digits(value).partition(".")
    number = _english_whole(int(whole), style)
    if behind == "5" and whole != "0" and style == 0:
        return f"{number} and a half"
    return number + (" point " + " ".join(_ONES[int(digit)] for digit in behind) if behind else "")


def _english_whole(value: int, style: int) -> str:
    if value < 20:
        return _ONES[value]
    if value < 100:
        return _TENS[value // 10] + (f"-{_ONES[value % 10]}" if value % 10 else "")
    hundreds = "a hundred" if value < 200 and style == 0 else f"{_ONES[value // 100]} hundred"
    rest = value % 100
    return hundreds + (f" {'and ' if style == 0 else ''}{_english_whole(rest, style)}" if rest else "")


def chinese(value: float, style: int = 0) -> str:
    """``一百零五``; ``十五点五``; ``两`` where a unit follows.

    Args:
        value: As for :func:`english`.
        style: 0 or 1: ``两百`` or ``二百``.
    """
    whole, _, behind = digits(value).partition(".")
    if whole == "2" and not behind:
        return "两"
    number = _chinese_whole(int(whole), style)
    return number + ("点" + "".join(_DIGITS[int(digit)] for digit in behind) if behind else "")


def _chinese_whole(value: int, style: int) -> str:
    if value < 10:
        return _DIGITS[value]
    if value < 100:
        tens = _DIGITS[value // 10] if value >= 20 else ""
        return f"{tens}十{_DIGITS[value % 10] if value % 10 else ''}"
    hundreds = "两" if value // 100 == 2 and style == 0 else _DIGITS[value // 100]
    rest = value % 100
    if not rest:
        return f"{hundreds}百"
    between = "零" if rest < 10 else "一" if rest < 20 else ""
    return f"{hundreds}百{between}{_chinese_whole(rest, style)}"
