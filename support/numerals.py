"""Numbers in texts of others, which may have any length."""

MOST_ELEMENTS = (1 << 63) - 1
"""Number of elements that no tensor exceeds: runtimes count them in 64 bits, with a sign."""


_MAX_DIGITS = 18
"""Maximum number of digits of a number that counts something; Python refuses thousands."""


def is_numeral(text: str) -> bool:
    """Whether a text is a number that can be read as one: digits only, and not too many.

    >>> is_numeral("12"), is_numeral("-1"), is_numeral("9" * 5000)
    (True, False, False)
    """
    return text.isdecimal() and len(text) <= _MAX_DIGITS
