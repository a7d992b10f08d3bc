"""Check digits: which strings of the right shape are identifiers that somebody could hold.

Each function takes the characters without separators and says whether they check out. A random
number passes Luhn once in 10, the French key, IBAN and the Italian letter once in 97, 97 and 26,
the German digit once in 11: shape and check together make a finding.
"""

from __future__ import annotations

import re

IBAN_LENGTH = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27,
    "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32,
    "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24,
    "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31,
    "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23,
    "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
"""Length by country, from the IBAN registry of SWIFT."""

# Issuers' first digits and the lengths of their numbers (ISO/IEC 7812).
_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}(?:\d{2})?"  # Diners
    r"|(?:6011|65\d{2}|64[4-9]\d)\d{12}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:50|5[6-9]|6[37])\d{10,17}"  # Maestro
)

_NIE = str.maketrans("XYZ", "012")

# Weights of a character in an odd place of an Italian tax code; in an even one it counts as itself.
_ITALIAN_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21] * 2
        + [2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23],
        strict=True,
    )
)


def luhn(digits: str) -> bool:
    """The sum of Luhn (1954), ISO/IEC 7812-1: every second digit from the right counts double."""
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def is_card(digits: str) -> bool:
    """A payment card: an issuer's first digits, its length, and Luhn."""
    return _CARD.fullmatch(digits) is not None and luhn(digits)


def is_iban(code: str) -> bool:
    """ISO 13616: the length of its country, and 1 modulo 97 with the first four at the end."""
    if len(code) != IBAN_LENGTH.get(code[:2]) or not code.isascii() or not code.isalnum():
        return False
    return int("".join(str(int(c, 36)) for c in code[4:] + code[:4])) % 97 == 1


def is_us_ssn(digits: str) -> bool:
    """A number that the Social Security Administration may have given; it has no check digit."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return not (area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000")


def is_uk_nino(code: str) -> bool:
    """A National Insurance number: two letters of those in use, six digits, A to D."""
    shape = re.fullmatch(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", code)
    return shape is not None and code[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def is_french_nir(code: str) -> bool:
    """A French social security number with its key, 97 minus the rest; Corsica is 2A or 2B."""
    if not re.fullmatch(r"[1-478]\d{2}(?:0[1-9]|1[0-2]|[2-4]\d|[5-9]\d)(?:\d{2}|2[AB])\d{8}", code):
        return False
    number = code[:13].replace("2A", "19").replace("2B", "18")
    return 97 - int(number) % 97 == int(code[13:])


def is_german_tax_id(digits: str) -> bool:
    """A German tax number for persons: ISO 7064 MOD 11,10, and one digit two or three times."""
    if not re.fullmatch(r"[1-9]\d{10}", digits):
        return False
    repeats = sorted(digits[:10].count(d) for d in set(digits[:10]))
    if repeats[-1] not in (2, 3) or repeats[-2] > 1:
        return False
    product = 10
    for d in digits[:10]:
        total = (int(d) + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10 == int(digits[10])


def is_spanish_id(code: str) -> bool:
    """A Spanish DNI or NIE: the letter is the number modulo 23."""
    if not re.fullmatch(r"[\dXYZ]\d{7}[A-Z]", code):
        return False
    return code[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[int(code[:-1].translate(_NIE)) % 23]


def is_italian_tax_code(code: str) -> bool:
    """An Italian codice fiscale with its check letter, of which digits may be letters too."""
    digit = "[0-9LMNPQRSTUV]"
    shape = rf"[A-Z]{{6}}{digit}{{2}}[A-EHLMPRST]{digit}{{2}}[A-Z]{digit}{{3}}[A-Z]"
    if not re.fullmatch(shape, code):
        return False
    odd = sum(_ITALIAN_ODD[c] for c in code[:15:2])
    even = sum(int(c) if c.isdigit() else ord(c) - ord("A") for c in code[1:15:2])
    return chr(ord("A") + (odd + even) % 26) == code[15]


def is_swiss_ahv(digits: str) -> bool:
    """A Swiss social security number: 756 and the check digit of EAN-13."""
    total = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits[:12]))
    return digits.startswith("756") and len(digits) == 13 and -total % 10 == int(digits[12])
