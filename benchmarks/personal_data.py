"""Sentences with personal data whose places are known, and with what only looks like it.

Check digits are computed here anew from the published rules, so that the scrub is not measured
against itself. Every value is drawn at random; none belongs to anybody by intention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple


class Example(NamedTuple):
    """A text and what in it is personal data: kind, start, end."""

    text: str
    personal: list[tuple[str, int, int]]


def examples(n: int, seed: int = 0) -> Iterator[Example]:
    """So many texts; half of their values are personal data, half are hard negatives."""
    random = Random(seed)
    for _ in range(n):
        text, personal = "", []
        for _ in range(random.randint(1, 4)):
            positive = random.random() < 0.5
            kind = random.choice(sorted(_POSITIVE if positive else _NEGATIVE))
            value = (_POSITIVE if positive else _NEGATIVE)[kind](random)
            before, after = random.choice(_AROUND.get(kind, _PLAIN)).split("*")
            text += before
            if positive:
                personal.append((kind, len(text), len(text) + len(value)))
            text += value + after + random.choice((" ", "\n", "  ", "\n\n"))
            text += random.choice(_PROSE) + random.choice((" ", "\n"))
        yield Example(text, personal)


_PROSE = (
    "The meeting was moved to the afternoon.",
    "Er kam erst spät am Abend zurück.",
    "Elle n'avait jamais vu la mer.",
    "No quedaba nadie en la plaza.",
    "Non ho capito la domanda.",
    "It sold 3 copies in 12 days, for 4.50 each.",
)
_PLAIN = ("We have * on file.", "(*)", "Here: *", "*, she said.", "See *; thank you.", '"*"')


def digits(random: Random, n: int) -> str:
    return "".join(random.choice("0123456789") for _ in range(n))


def _word(random: Random) -> str:
    return "".join(random.choice("abcdefghijklmnoprstuvwz") for _ in range(random.randint(3, 9)))


def _groups(text: str, sizes: tuple[int, ...], separator: str) -> str:
    parts, place = [], 0
    for size in sizes:
        parts.append(text[place : place + size])
        place += size
    return separator.join([*parts, text[place:]] if text[place:] else parts)


def _luhn_digit(number: str) -> str:
    doubled = [int(d) * (2 if i % 2 == 0 else 1) for i, d in enumerate(reversed(number))]
    return str(-sum(d - 9 if d > 9 else d for d in doubled) % 10)


def _email(random: Random) -> str:
    user = _word(random) + random.choice(("", ".", "_", "+", "-")) + _word(random)
    host = random.choice(("", "mail.", "uni-")) + _word(random)
    return f"{user}@{host}.{random.choice(('com', 'co.uk', 'de', 'fr', 'org', 'museum'))}"


def _phone(random: Random) -> str:
    def d(n: int) -> str:
        return digits(random, n)

    first = random.choice("123456789")
    area = random.choice("23456789") + d(2)
    return random.choice(
        (
            f"+1-{area}-{random.choice('23456789')}{d(2)}-{d(4)}",
            f"({area}) {random.choice('23456789')}{d(2)}-{d(4)}",
            f"{area}.{random.choice('23456789')}{d(2)}.{d(4)}",
            f"+44 20 {d(4)} {d(4)}",
            f"020 {random.choice('3789')}{d(3)} {d(4)}",
            f"07{d(3)} {d(6)}",
            f"+33 {first} {d(2)} {d(2)} {d(2)} {d(2)}",
            f"0{first} {d(2)} {d(2)} {d(2)} {d(2)}",
            f"0{first}.{d(2)}.{d(2)}.{d(2)}.{d(2)}",
            f"+49 (0){random.choice('34678')}{d(2)} {d(6)}",
            f"0{random.choice('234678')}{d(1)}/{first}{d(6)}",
            f"+4917{d(9)}",
            f"+34 6{d(2)} {d(3)} {d(3)}",
            f"6{d(2)} {d(2)} {d(2)} {d(2)}",
            f"+39 3{random.choice('2349')}{d(1)} {d(3)} {d(4)}",
            f"0033 {first} {d(2)} {d(2)} {d(2)} {d(2)}",
        )
    )


_IBAN_SHAPES = {
    "DE": "n" * 18, "FR": "n" * 10 + "c" * 11 + "n" * 2, "GB": "a" * 4 + "n" * 14, "ES": "n" * 20,
    "IT": "a" + "n" * 10 + "c" * 12, "NL": "a" * 4 + "n" * 10, "BE": "n" * 12,
    "CH": "n" * 5 + "c" * 12,
}  # fmt: skip


def _iban(random: Random, wrong: int = 0) -> str:
    country = random.choice(sorted(_IBAN_SHAPES))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    pools = {"n": "0123456789", "a": letters, "c": letters + "0123456789"}
    account = "".join(random.choice(pools[c]) for c in _IBAN_SHAPES[country])
    as_number = "".join(
        str(letters.index(c) + 10) if c in letters else c for c in account + country
    )
    check = 98 - int(as_number + "00") % 97
    code = f"{country}{(check - 2 + wrong) % 97 + 2:02}{account}"
    return _groups(code, (4,) * ((len(code) - 1) // 4), " ") if random.random() < 0.6 else code


def _card(random: Random, wrong: int = 0) -> str:
    prefix, length = random.choice((("4", 16), ("51", 16), ("55", 16), ("37", 15), ("6011", 16)))
    number = prefix + digits(random, length - len(prefix) - 1)
    number += str((int(_luhn_digit(number)) + wrong) % 10)
    sizes = (4, 6, 5) if length == 15 else (4, 4, 4, 4)
    return _groups(number, sizes, random.choice(("", " ", "-")))


def _ipv4(random: Random) -> str:
    first = random.choice([n for n in range(20, 224) if n != 127])  # 127 is the machine itself
    return f"{first}." + ".".join(str(random.randint(0, 255)) for _ in range(3))


def _ipv6(random: Random) -> str:
    groups = [f"{random.randint(1, 0xFFFF):x}" for _ in range(7)]
    return random.choice((":".join(["2001", *groups]), f"fe80::{groups[0]}:1{groups[1][:3]}"))


def _ssn(random: Random) -> str:
    area = random.choice([n for n in range(1, 900) if n != 666])
    return f"{area:03}-{random.randint(1, 99):02}-{random.randint(1, 9999):04}"


def _nino(random: Random) -> str:
    prefix = random.choice(("AB", "CE", "JG", "PX", "SR", "WK"))
    number = prefix + digits(random, 6) + random.choice("ABCD")
    return _groups(number, (2, 2, 2, 2, 1), random.choice(("", " ")))


def _nir(random: Random, wrong: int = 0) -> str:
    place = random.choice(("2A", "2B", f"{random.randint(1, 95):02}"))
    start = f"{random.choice('12')}{digits(random, 2)}{random.randint(1, 12):02}"
    body = f"{start}{place}{digits(random, 6)}"
    key = 97 - int(body.replace("2A", "19").replace("2B", "18")) % 97
    key = (key - 1 + wrong) % 97 + 1
    return _groups(f"{body}{key:02}", (1, 2, 2, 2, 3, 3, 2), random.choice(("", " ")))


def _tax_id(random: Random, wrong: int = 0) -> str:
    order = random.sample("0123456789", 9)
    order.insert(random.randint(1, 9), random.choice(order))
    number = "".join(order)
    if number[0] == "0":
        return _tax_id(random, wrong)
    rest = 10
    for d in number:
        rest = (rest + int(d)) % 10 or 10
        rest = rest * 2 % 11
    check = (1 - rest) % 10
    return _groups(f"{number}{(check + wrong) % 10}", (2, 3, 3, 3), random.choice(("", " ")))


def _dni(random: Random, wrong: int = 0) -> str:
    number = random.randint(10**7, 10**8 - 1)
    letter = "TRWAGMYFPDXBNJZSQVHLCKE"[(number + wrong) % 23]
    return f"{number}{random.choice(('', '-'))}{letter}"


def _wrong(make: Callable[..., str], most: int) -> Callable[[Random], str]:
    return lambda random: make(random, wrong=random.randint(1, most))


def _isbn(random: Random) -> str:
    body = "978" + digits(random, 9)
    check = -sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(body)) % 10
    whole = f"{body}{check}"
    return random.choice((whole, _groups(whole, (3, 1, 4, 4, 1), "-")))


_POSITIVE: dict[str, Callable[[Random], str]] = {
    "EMAIL": _email,
    "PHONE": _phone,
    "IBAN": _iban,
    "CARD": _card,
    "IP": lambda random: random.choice((_ipv4, _ipv6))(random),
    "US_SSN": _ssn,
    "UK_NINO": _nino,
    "FR_NIR": _nir,
    "DE_TAX_ID": _tax_id,
    "ES_ID": _dni,
}


def _date(random: Random) -> str:
    """A date in one of the ways that people write one, with or without the time."""
    y, m, d = random.randint(1900, 2030), random.randint(1, 12), random.randint(1, 28)
    time = f"{random.randint(0, 23):02}:{random.randint(0, 59):02}"
    return random.choice(
        (
            f"{y}-{m:02}-{d:02}",
            f"{d:02}.{m:02}.{y}",
            f"{d:02}/{m:02}/{y}",
            f"{d:02}.{m:02}.{y} {time}",
            f"{y}-{m:02}-{d:02}T{time}:00",
            f"{y}{m:02}{d:02}",
            f"{y}-{y + 7}",
            f"{d:02} {m:02} {y}",
        )
    )


def _version(random: Random) -> str:
    return ".".join(str(random.randint(0, 30)) for _ in range(random.choice((3, 4))))


def _price(random: Random) -> str:
    euros, cents = f"{random.randint(1, 999)}", digits(random, 2)
    return random.choice("€$£") + random.choice(("{},{}.{}", "{}.{},{}")).format(
        euros, digits(random, 3), cents
    )


def _big(random: Random) -> str:
    return ",".join([f"{random.randint(1, 999)}", *(digits(random, 3) for _ in range(3))])


def _no_address(random: Random) -> str:
    return f"{random.randint(256, 999)}.{digits(random, 3)}.{random.randint(300, 999)}.7"


def _no_ssn(random: Random) -> str:
    area = random.choice(("000", "666", "9" + digits(random, 2)))
    return f"{area}-{digits(random, 2)}-{digits(random, 4)}"


def _coordinates(random: Random) -> str:
    north, east = random.randint(-90, 90), random.randint(0, 180)
    return f"{north}.{digits(random, 6)}, {east}.{digits(random, 6)}"


def _address(random: Random) -> str:
    year = random.randint(1900, 2030)
    return f"https://{_word(random)}.org/{year}/{digits(random, 2)}/{_word(random)}.html"


_NEGATIVE: dict[str, Callable[[Random], str]] = {
    "iban with a wrong check": _wrong(_iban, 95),
    "card with a wrong check": _wrong(_card, 9),
    "nir with a wrong key": _wrong(_nir, 95),
    "tax id with a wrong digit": _wrong(_tax_id, 9),
    "dni with a wrong letter": _wrong(_dni, 22),
    "ssn never given": _no_ssn,
    "isbn": _isbn,
    "date": _date,
    "price": _price,
    "version": _version,
    "order": lambda random: f"#{digits(random, random.randint(8, 12))}",
    "big number": _big,
    "time": lambda random: f"{digits(random, 2)}:{digits(random, 2)}:{digits(random, 2)}",
    "handle": lambda random: f"@{_word(random)}",
    "code": lambda random: f"std::{_word(random)}::{_word(random)}",
    "no address": _no_address,
    "coordinates": _coordinates,
    "decimal": lambda random: f"{random.randint(0, 99)}.{digits(random, 10)}",
    "web address": _address,
}
_AROUND = {
    "version": ("Install version * first.", "Release * is out.", "Since v*, it works."),
    "order": ("Your order * has shipped.", "Ticket * is closed."),
    "isbn": ("ISBN *", "The book (ISBN: *) is out of print."),
    "PHONE": (*_PLAIN, "Call *.", "Tel. *", "Tél. : *", "Telefon: *", "WhatsApp * any time."),
    "EMAIL": (*_PLAIN, "Write to *.", "<*>", "mailto:*"),
}
