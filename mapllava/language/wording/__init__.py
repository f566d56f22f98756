"""Sentences that ask about a map, and the canonical text of what they ask: what a parser learns from.

Sentences come from templates with slots, in English and Chinese, in the text files beside this one. One
sentence has one meaning; where people differ, these conventions decide, in both languages:

- "the next crossing", "upcoming", "we are coming to" are ahead; "the nearest", "the closest" say no side.
- "20 m ahead" is ``ahead; at 20 m``, "20 m ahead on the left" is ``ahead left; at 20 m``, and "at 20 m" is on
  the road ahead. "20 m to the left" is across the road and has no canonical form.
- "Within 20 m ahead", "in the next 20 m", "up to 20 m in front" are ``ahead; within 20 m``; "5 to 15 m away"
  is ``between 5 and 15 m``.
- "In front" is ahead, "at the back" behind. "Ahead on the left", "front left" is the quarter ``ahead left``.
- "Left and right", "on both sides", "around me", "nearby", "in sight" restrict nothing.
- Several classes of one request are meant together, however they are joined ("and", "or"); all of them are
  ``all``. "Lines", "map elements", "everything" are ``all``.
- "Show", "mark" and "where are the crossings" are ``draw``; "show (or where is) the nearest crossing" is
  ``nearest``, and so is "which is closer, a crossing or a divider". "On which side is the nearest crossing"
  is ``side``.
- A fragment without a verb ("crossings ahead") is ``draw``.
- Of several requests, a side or a distance belongs to the one in whose words it stands.
- "A crossing" is for pedestrians; "intersection", "junction" and "crossroads" are a ``junction``. "Lanes" are
  ``lanes``; "lane lines" are dividers.
- What has no canonical form is no request, never the nearest thing that has: "beyond 20 m", "20 m to the
  left", "half a mile", "how far is the next junction", "2500 m" (three digits before the point at most),
  things that the map does not have, also among things that it has ("crossings and trees"), and a sentence of
  which one part is none.

``~`` before a line of those files holds it out of training: templates in whose words nothing is new, and
words for classes, sides and other things that no training pair has. Slips of the keyboard, missing capitals
and stops come in all parts alike, but never in a number, a unit or a held-out word.
"""

from mapllava.language.wording.pairs import PAIR_KINDS, PARTS, Pair, sample_pair, sample_pairs, word

__all__ = ["PAIR_KINDS", "PARTS", "Pair", "sample_pair", "sample_pairs", "word"]
