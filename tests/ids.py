"""Ids that are allowed, and those that look like something else."""

from typing import Final

from hypothesis import strategies as st

_ODD_IDS: Final = ("7", "007", "-0", "1e5", "true", "null", "[x", "{x}", 'a"b\\c', "é→𝛑", "🚕")

# Of people and places: joiners, spaces of other scripts, what is newer than a Python, marks.
_NAMES: Final = (
    "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",  # a name in Persian
    "👨\u200d👩\u200d👧",
    "Taxi\u00a0XL",
    "d\U0001fae8",
    "e\u0301",
    "\u2028",
    "\ue000",
)

_NONCHARACTERS: Final = "".join(
    chr(code)
    for code in range(0x110000)
    if 0xFDD0 <= code <= 0xFDEF or code % 0x10000 >= 0xFFFE  # by the tables of Unicode
)

ids = st.sampled_from(("a", "b", "c", *_ODD_IDS, *_NAMES)) | st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=_NONCHARACTERS),
    min_size=1,
    max_size=128,
)
"""Ids that are allowed: 1 to 128 characters, among them what looks like other types."""
