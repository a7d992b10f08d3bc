"""Small repairs: each a pure function from text to text, which done twice is done once."""

from __future__ import annotations

import re
import unicodedata

# -- encoding --------------------------------------------------------------------------------------

# A character of several UTF-8 bytes that was read as Latin-1 or Windows-1252 is at least two
# characters beyond ASCII in a row (of `à`, the second is a space that was tidied up since). Only
# such lines are worth ftfy's time.
_SUSPECT = re.compile(r"[^\x00-\x7f]{2}|Ã ")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,20});", re.IGNORECASE)


def repair_encoding(text: str) -> str:
    """Undoes mojibake (`Ã©` for `é`) with ftfy (Speer 2019), and entities where there are no tags.

    Works line by line: a text may have been glued together from sound and broken parts.
    """
    if not text.isascii() and _SUSPECT.search(text):
        text = "".join(map(_repaired_line, text.splitlines(keepends=True)))
    if "&" in text and "<" not in text and _ENTITY.search(text):
        import ftfy.fixes

        text = ftfy.fixes.unescape_html(text)
    return text


def _repaired_line(line: str) -> str:
    import ftfy

    return ftfy.fix_encoding(line) if _SUSPECT.search(line) else line


# -- Unicode ---------------------------------------------------------------------------------------

_LIGATURES = dict(zip("ﬀﬁﬂﬃﬄﬅﬆ", ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True))


def normalize_unicode(text: str) -> str:
    """Normalisation form C (UAX #15), and the ligatures of printers as letters."""
    if text.isascii():
        return text
    for ligature, letters in _LIGATURES.items():
        if ligature in text:
            text = text.replace(ligature, letters)
    return unicodedata.normalize("NFC", text)


# C0 but tab and newline, DEL, C1; soft hyphen; zero-width space, no-break space and word joiner;
# marks and overrides of direction; annotation; tags; what Unicode says is no character. The
# joiners U+200C and U+200D stay: Persian, Hindi and family emoji are spelt with them.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ufdd0-\ufdef\U000e0000-\U000e007f]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")


def remove_controls(text: str) -> str:
    """Without characters that steer and hide; every kind of line end becomes `\\n`."""
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))


# -- boilerplate -----------------------------------------------------------------------------------

_GUTENBERG = re.compile(r"\*\*\* ?(START|END) OF (?:THE|THIS) PROJECT GUTENBERG EBOOK[^\n]*\*\*\*")
_HIDDEN_HTML = re.compile(r"<(script|style|noscript)\b[^>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(
    r"</?(?:a|abbr|article|aside|b|blockquote|body|br|center|code|div|em|font|footer|form|h[1-6]"
    r"|head|header|hr|html|i|iframe|img|input|label|li|link|main|meta|nav|ol|option|p|pre|section"
    r"|select|small|span|strong|sub|sup|svg|table|tbody|td|th|thead|title|tr|u|ul)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
# What a line of a web page's furniture begins with, or, after the bar, ends with.
_FURNITURE = re.compile(
    r"\W*(?:we use cookies|this (?:web)?site uses cookies|accept (?:all )?cookies|cookie (?:policy"
    r"|settings|preferences)|privacy policy|terms (?:of (?:use|service)|and conditions)"
    r"|copyright (?:©|\(c\)|\d{4})|© ?\d{4}|(?:please )?enable javascript|javascript is (?:disabled"
    r"|required)|share (?:this|on)\b|(?:follow|like|find) us on|(?:log|sign) in\b|sign up\b"
    r"|subscribe (?:to|now)\b|read more\b|click here\b|skip to (?:main )?content|back to top"
    r"|leave a (?:comment|reply)|powered by\b|related (?:posts|articles)|advertisement\W*$"
    r"|lorem ipsum)|.*all rights reserved\W*$",
    re.IGNORECASE,
)
_FURNITURE_CHARS = 90  # a longer line is a sentence


def remove_boilerplate(text: str) -> str:
    """Without HTML tags, short lines of web page furniture, and Project Gutenberg's frame."""
    if "PROJECT GUTENBERG" in text:
        marks = list(_GUTENBERG.finditer(text))
        starts = [m.end() for m in marks if m[1] == "START"]
        ends = [m.start() for m in marks if m[1] == "END"]
        text = text[starts[0] if starts else 0 : ends[-1] if ends else None]
    if "<" in text:
        text = _TAG.sub("", _HIDDEN_HTML.sub("", text))
    lines = text.split("\n")
    return "\n".join(x for x in lines if len(x) > _FURNITURE_CHARS or not _FURNITURE.match(x))


# -- punctuation and whitespace --------------------------------------------------------------------

_TYPED_FORMS = {
    "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u201f": '"', "\u2033": '"',
    "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u2032": "'", "\u00b4": "'",
    "\u2026": "...", "\u2010": "-", "\u2011": "-", "\u2212": "-",
    "\u2015": "\u2014", "\u2e3a": "\u2014", "\u2e3b": "\u2014",
}  # fmt: skip


def normalize_punctuation(text: str) -> str:
    """Quotation marks, apostrophes, hyphens and ellipses in the form that a keyboard types.

    Dashes stay dashes, and guillemets, which French and Spanish type, stay guillemets.
    """
    if text.isascii():
        return text
    for printed, typed in _TYPED_FORMS.items():
        if printed in text:
            text = text.replace(printed, typed)
    return text


_SPECIAL_SPACE = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_INNER_BLANKS = re.compile(r"(?<=[^ \t\n])[ \t]*(?:  |\t)[ \t]*")
_TRAILING = re.compile(r"[ \t]+(?=\n)")
_BLANK_LINES = re.compile(r"\n{3,}")


def normalize_whitespace(text: str) -> str:
    """One space between words, no blanks at the end of a line, at most one blank line.

    What a line begins with stays: code and verse are indented on purpose.
    """
    if not text.isascii():
        text = _SPECIAL_SPACE.sub(" ", text)
    if "  " in text or "\t" in text:
        text = _INNER_BLANKS.sub(" ", text)
    text = _BLANK_LINES.sub("\n\n", _TRAILING.sub("", text))
    return text.strip("\n").rstrip()
