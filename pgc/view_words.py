# SPDX-License-Identifier: Apache-2.0
"""Words of a prompt that say from where the thing is seen."""

import re

__all__ = ["view_words"]

_SIDES = (
    "front|frontal|side|back|rear|left|right|top|bottom|overhead|underside|aerial|profile|isometric|top[- ]down"
    "|bottom[- ]up|three[- ]quarter|3/4|bird'?s[- ]eye|worm'?s[- ]eye|high[- ]angle|low[- ]angle|eye[- ]level"
)
_SEEN = "seen|viewed|shown|pictured|photographed|shot|depicted|observed|visible|view|looking|looked at"
_PLACES = "above|below|behind|underneath|beneath|in front|one side|over ?head|straight (?:on|ahead|above|down)"
_WORDS = re.compile(
    rf"\b(?:{_SIDES})(?:[- ](?:left|right|hand|side))?[- ](?:view|viewpoint|shot|angle|perspective|elevation)s?\b"
    rf"|\b(?:{_SEEN}) (?:\w+ )?(?:from|at) (?:the |its |an? )?(?:{_PLACES}|{_SIDES})\b"
    r"|\b(?:top|bottom)[- ]down view\b",
    re.IGNORECASE,
)


def view_words(text: str) -> str | None:
    """Returns the first words that name a view, such as "back view" or "seen from above"; None where there are none.

    Where something else comes from a side ("lit from above", "moss from below") is no view.
    """
    found = _WORDS.search(text)
    return None if found is None else found.group()
