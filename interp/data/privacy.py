"""Personal data in running text: found by shape, check digit and context, replaced by its type.

What is found, and the placeholder that takes its place:

| placeholder | what | what must hold besides the shape |
|---|---|---|
| `<CREDENTIALS>` | user and password in an address, secrets in its query | |
| `<EMAIL>` | also written with `[at]` and `[dot]` | |
| `<IBAN>` | bank account | length of its country, ISO 7064 MOD 97,10 |
| `<CARD>` | payment card | an issuer's first digits and length, Luhn |
| `<FR_NIR>` `<DE_TAX_ID>` `<IT_TAX_CODE>` `<ES_ID>` `<CH_AHV>` | national ids | check digits |
| `<UK_NINO>` `<US_SSN>` | national ids without check digit | the ranges that are given out |
| `<IP>` | IPv4, IPv6 | a valid address, not loopback, not a version number |
| `<PHONE>` | with `+`, or as written in US, UK, FR, DE, IT, ES | no date, order number or price |

Names and postal addresses of people are not looked for: shapes do not tell them from other words.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from interp.data import identifiers

# Every finding holds a digit, an @ or what stands for one, so only their surroundings are searched:
# prose is read at the speed of one search for single characters.
_ANCHOR = re.compile(r"[0-9](?:[^\n]{0,12}[0-9])*|@|::|[\[({](?:at|AT)[\])}]")
_BEFORE, _AFTER = 120, 80


class Finding(NamedTuple):
    """A span of the text that is personal data of a kind."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class _Detector:
    """Where to look and what must hold.

    Attributes:
        pattern: its group `value` is what is replaced, or the whole match.
        check: asked with the value.
        unless: words right before a match that say it is something else.
        final: what has the shape and fails the check is not looked at again.
    """

    kind: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool] = lambda value: True
    unless: re.Pattern[str] | None = None
    final: bool = False


def find_personal(text: str) -> list[Finding]:
    """What of a text is personal data, in order, without overlaps; the table's upper rows first."""
    found: list[Finding] = []
    for start, end in _windows(text):
        taken: list[Finding] = []
        for detector in _DETECTORS:
            for match in detector.pattern.finditer(text, start, end):
                low, high = _within_brackets(text, match, detector.pattern)
                if any(low < other.end and other.start < high for other in taken):
                    continue
                before = text[max(0, low - 40) : low]
                if detector.unless and detector.unless.search(before):
                    continue
                if detector.check(text[low:high]):
                    taken.append(Finding(detector.kind, low, high))
                elif detector.final:
                    taken.append(Finding("", low, high))
        found += sorted((one for one in taken if one.kind), key=lambda one: one.start)
    return found


def _within_brackets(text: str, match: re.Match[str], pattern: re.Pattern[str]) -> tuple[int, int]:
    """Where the value is, without a bracket at an end whose other half is not in it."""
    start, end = match.span("value" if "value" in pattern.groupindex else 0)
    value = text[start:end]
    if value.endswith(")") and value.count(")") > value.count("("):
        end -= 1
    if value.startswith("(") and value.count("(") > value.count(")"):
        start += 1
    return start, end


def scrub(text: str) -> tuple[str, Counter[str]]:
    """The text with typed placeholders like `<EMAIL>`, and how many of each were put in."""
    found = find_personal(text)
    pieces, place = [], 0
    for finding in found:
        pieces += [text[place : finding.start], f"<{finding.kind}>"]
        place = finding.end
    return "".join([*pieces, text[place:]]), Counter(finding.kind for finding in found)


def scrubbed(value: Any) -> Any:
    """A value such as JSON can hold, with every text in it scrubbed."""
    if isinstance(value, str):
        return scrub(value)[0]
    if isinstance(value, Mapping):
        return {scrubbed(key): scrubbed(inner) for key, inner in value.items()}
    return [scrubbed(inner) for inner in value] if isinstance(value, list) else value


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """Disjoint stretches around everything that a finding could be built on."""
    start = end = -1
    for match in _ANCHOR.finditer(text):
        low, high = max(0, match.start() - _BEFORE), min(len(text), match.end() + _AFTER)
        if low <= end:
            end = max(end, high)
            continue
        if end > 0:
            yield start, end
        start, end = low, high
    if end > 0:
        yield start, end


# -- shapes ----------------------------------------------------------------------------------------


def _code(check: Callable[[str], bool]) -> Callable[[str], bool]:
    """A check of letters and digits alone, in capitals."""
    return lambda value: check(re.sub(r"[\W_]", "", value).upper())


def _shape(pattern: str) -> re.Pattern[str]:
    """A pattern in which `~` is an optional separator and whose ends are those of a word."""
    pattern = pattern.replace("~", r"[ .\-\u00a0\u2011\u202f]?")
    return re.compile(rf"(?<![\w.,#])(?:{pattern})(?!\w|[.,\-]\d)", re.IGNORECASE)


def _iban_shape() -> re.Pattern[str]:
    countries: dict[int, list[str]] = {}
    for country, length in identifiers.IBAN_LENGTH.items():
        countries.setdefault(length, []).append(country)
    shapes = "|".join(
        rf"(?:{'|'.join(names)})\d{{2}}(?:~[A-Z0-9]){{{length - 4}}}"
        for length, names in sorted(countries.items())
    )
    return _shape(rf"(?=[A-Z]{{2}}\d{{2}})(?:{shapes})")  # few places are worth all the countries


_SECRET = (
    r"access_?token|api_?key|auth(?:_?token)?|client_secret|pass(?:word|wd)?|pwd|secret|session_?id"
    r"|token"
)
_LOGIN = re.compile(r"://(?P<value>[^\s/@:<>\"']{1,80}:[^\s/@<>\"']{1,80})(?=@)")
_QUERY = re.compile(rf"[?&;](?:{_SECRET})=(?P<value>[^\s&#\"'<>]{{4,}})", re.IGNORECASE)
_EMAIL = re.compile(
    r"(?<!\w)\w[\w.+'%-]{0,63}@(?:\w(?:[\w-]{0,61}\w)?\.)+[^\W\d_]{2,24}(?!\w)"
    r"|(?<!\w)\w[\w.+-]{0,63} ?[\[({](?:at|AT)[\])}] ?\w[\w-]{0,61}"
    r"(?: ?(?:\.|[\[({](?:dot|DOT)[\])}]) ?\w[\w-]{0,61}){1,4}"
)
# Not within a longer row of groups of four, such as an account number.
_CARD = re.compile(
    r"(?<![\w.,+])(?<!\d{4}[ \-])(?<![A-Z]{2}\d{2} )"
    r"(?:\d{4}([ \-])\d{4}\1\d{4}\1\d{4}|\d{4}([ \-])\d{6}\2\d{4,5}|\d{13,19})"
    r"(?!\w|[.,]\d|[ \-]\d{4})"
)

_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d|-[A-Za-z])")
_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[\da-fA-F]{0,4})(?![\w:])"
)


def _is_address(value: str) -> bool:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return False
    if address.version == 6:
        return any(c.isdigit() for c in value)  # `abc::def` is a name in some languages
    # Four small numbers are a version or a paragraph; only the private network 10 begins small.
    octets = [int(octet) for octet in value.split(".")]
    return octets[0] == 10 or (max(octets) >= 20 and octets[0] != 255)


_VERSION = re.compile(
    r"(?:\bv|\bver|version|release|firmware|build|update|driver|chapter|section|§)[.: #]*$",
    re.IGNORECASE,
)

# -- telephone numbers -----------------------------------------------------------------------------

_SEP = r"[ .\-/\u00a0\u2011\u202f]"
_NUMBER_END = r"(?!\w|[.,/\-:]\d| \d| ?[€$£%])"
_NUMBER_START = r"(?<![\w.,#$€£/+\-])(?<!\d[ )])(?<![€$£#] )"

_INTERNATIONAL = re.compile(
    rf"(?<![\w+])(?:\+ ?[1-9]|(?<!\d[ .\-/])00[1-9](?=\d{{0,2}}{_SEP}))"
    rf"(?:{_SEP}?\(?\d\)?){{7,14}}{_NUMBER_END}"
)
# Hyphens or full stops hold it together, so other numbers may stand beside it.
_NORTH_AMERICAN = re.compile(
    r"(?<![\w.,#$€£/+\-])(?:1[ .\-])?(?:\([2-9]\d{2}\)[ .\-]?|[2-9]\d{2}[./\-])[2-9]\d{2}[.\-]\d{4}"
    r"(?!\w|[.,/\-]\d)"
)
_NATIONAL = re.compile(
    rf"{_NUMBER_START}(?:"
    # A trunk 0 and groups: French pairs, British, German and Italian area codes.
    rf"\(?0[1-9]\d{{0,4}}\)?(?:{_SEP}{{1,3}}\d{{2,9}}){{1,4}}"
    # Mobile numbers in one piece: FR 06, 07; UK 07; DE 015 to 017.
    r"|0[67]\d{8}|07\d{9}|01[5-7]\d{8,9}"
    # North America with spaces.
    r"|(?:1 )?(?:\([2-9]\d{2}\) ?|[2-9]\d{2} )[2-9]\d{2} \d{4}"
    # Spain in 3-2-2-2, Italian mobiles in 3-3-4 or 3-7.
    r"|[6789]\d{2}(?P<b>[ \-])\d{2}(?P=b)\d{2}(?P=b)\d{2}"
    r"|3[2-9]\d[ \-.]\d{3}[ \-.]?\d{4}"
    rf"){_NUMBER_END}"
)
_AFTER_A_WORD = re.compile(
    r"(?:\b(?:tele)?phones?|\bcall(?:ed|s)?|\bring|\btext|\bmobile|\bcell|\bfax|\bwhatsapp|\btel"
    r"|\btelefon\w*|\bhandy|\bmobil|\brufnummer|\btéléphone\w*|\bappel\w*|\bportable|\bteléfono"
    r"|\bmóvil|\bllam\w+|\bcellulare|\bchiam\w+)\b\W{0,3}"
    r"(?:(?:number|nummer|numéro|número|numero|no|nr|n°|at|on|is|me|us|him|her|al|au|an|unter|ist"
    r"|est|es|è|il|mi)\b\W{0,2}){0,3}"
    rf"(?P<value>\(?\d(?:{_SEP}{{0,2}}[()]?\d){{6,13}}){_NUMBER_END}",
    re.IGNORECASE,
)
_NO_PHONE = re.compile(
    r"(?:order|invoice|reference|ref|ticket|tracking|parcel|sku|isbn|issn|doi|serial|model|part|item"
    r"|article|case|batch|product|rechnung|bestell\w*|auftrag\w*|artikel\w*|sendung\w*|commande"
    r"|facture|colis|pedido|factura|ordine|fattura)s?"
    r"(?:[ \-]?(?:number|nummer|numéro|número|numero|no|nr|id|code|n°))?\W{0,3}$",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?:0?[1-9]|[12]\d|3[01])[./ \-]{1,2}(?:0?[1-9]|1[0-2])[./ \-]{1,2}(?:19|20)\d{2}"
    r"|(?:19|20)\d{2}(?P<s>[./ \-]?)(?:0[1-9]|1[0-2])(?P=s)[0-3]\d"
)


def _has_digits(least: int, most: int) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        return least <= sum(map(str.isdigit, value)) <= most and not _DATE.match(value)

    return check


# From the most certain to the least: what one has taken is not for the next.
_DETECTORS = (
    _Detector("CREDENTIALS", _LOGIN),
    _Detector("CREDENTIALS", _QUERY),
    _Detector("EMAIL", _EMAIL),
    _Detector("IBAN", _iban_shape(), _code(identifiers.is_iban), final=True),
    _Detector("CARD", _CARD, _code(identifiers.is_card)),
    _Detector(
        "FR_NIR",
        _shape(r"[1-478]~\d{2}~\d{2}~(?:\d{2}|2[AB])~\d{3}~\d{3}~\d{2}"),
        _code(identifiers.is_french_nir),
    ),
    _Detector(
        "IT_TAX_CODE",
        _shape(r"[A-Z]{3}~[A-Z]{3}~[0-9A-Z]{5}~[A-Z][0-9A-Z]{3}[A-Z]"),
        _code(identifiers.is_italian_tax_code),
    ),
    _Detector(
        "UK_NINO", _shape(r"[A-Z]{2}~\d{2}~\d{2}~\d{2}~[A-D]"), _code(identifiers.is_uk_nino)
    ),
    _Detector("CH_AHV", _shape(r"756~\d{4}~\d{4}~\d{2}"), _code(identifiers.is_swiss_ahv)),
    _Detector(
        "ES_ID",
        _shape(r"(?:\d{2}~\d{3}~\d{3}|[XYZ]~\d{7})~[A-Z]"),
        _code(identifiers.is_spanish_id),
    ),
    _Detector(
        "DE_TAX_ID", _shape(r"(?<!\+)\d{2}~\d{3}~\d{3}~\d{3}"), _code(identifiers.is_german_tax_id)
    ),
    _Detector("US_SSN", _shape(r"\d{3}-\d{2}-\d{4}"), _code(identifiers.is_us_ssn), _NO_PHONE),
    _Detector(
        "US_SSN",
        re.compile(
            r"\b(?:ssn|social security)\b\W{0,3}(?:(?:number|no|is)\b\W{0,2}){0,2}"
            r"(?P<value>\d{3}[ .\-]?\d{2}[ .\-]?\d{4})(?!\w|[.,\-]\d)",
            re.IGNORECASE,
        ),
        _code(identifiers.is_us_ssn),
    ),
    _Detector("IP", _IPV4, _is_address, _VERSION),
    _Detector("IP", _IPV6, _is_address),
    _Detector("PHONE", _INTERNATIONAL, _has_digits(7, 15)),
    _Detector("PHONE", _NORTH_AMERICAN, _has_digits(10, 11), _NO_PHONE),
    _Detector("PHONE", _NATIONAL, _has_digits(9, 12), _NO_PHONE),
    _Detector("PHONE", _AFTER_A_WORD, _has_digits(7, 15)),
)
