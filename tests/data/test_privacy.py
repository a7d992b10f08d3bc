"""Personal data: found where it is known to be, and not where something only looks like it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.personal_data import examples
from interp.data import identifiers
from interp.data.privacy import find_personal, scrub, scrubbed


def test_precision_and_recall_on_known_answers() -> None:
    hits = misses = false = 0
    for text, personal in examples(1500, seed=11):
        found = {tuple(finding) for finding in find_personal(text)}
        hits += len(found & set(personal))
        misses += len(set(personal) - found)
        false += len(found - set(personal))
    assert hits > 1500
    assert hits / (hits + misses) >= 0.98
    assert hits / (hits + false) >= 0.98


# Published examples of each kind: of the banks' association, the card networks' test numbers, the
# authorities' own leaflets, and numbers set aside for fiction.
@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("DE89 3704 0044 0532 0130 00", "<IBAN>"),
        ("GB82WEST12345698765432", "<IBAN>"),
        ("pay be68 5390 0754 7034 also", "pay <IBAN> also"),
        ("4111 1111 1111 1111 12/26", "<CARD> 12/26"),
        ("3782-822463-10005", "<CARD>"),
        ("255081416802538", "<FR_NIR>"),
        ("86 095 742 719", "<DE_TAX_ID>"),
        ("RSSMRA85T10A562S", "<IT_TAX_CODE>"),
        ("X-1234567-L and 12.345.678-Z", "<ES_ID> and <ES_ID>"),
        ("756.9217.0769.85", "<CH_AHV>"),
        ("AB 12 34 56 C", "<UK_NINO>"),
        ("078-05-1120", "<US_SSN>"),
        ("SSN: 078 05 1120", "SSN: <US_SSN>"),
        ("jo.o'neill+x@mail.example.co.uk.", "<EMAIL>."),
        ("jo [at] example [dot] org", "<EMAIL>"),
        ("https://jo:s3cret@example.org/x", "https://<CREDENTIALS>@example.org/x"),
        ("https://x.org/?token=abcd1234&y=1", "https://x.org/?token=<CREDENTIALS>&y=1"),
        ("from 203.0.113.7, port 80", "from <IP>, port 80"),
        ("at 2001:db8::8a2e:370:7334", "at <IP>"),
        ("(call 020 7946 0958)", "(call <PHONE>)"),
        ("+49 (0)30 901820", "<PHONE>"),
        ("phone: 5550123", "phone: <PHONE>"),
        ("01.99.00.12.34", "<PHONE>"),
    ],
)
def test_known_examples(text: str, clean: str) -> None:
    assert scrub(text)[0] == clean


@pytest.mark.parametrize(
    "text",
    [
        *("2024-01-15 12:30", "01.02.2023 14:30", "in 1969-1970", "ISBN 978-3-16-148410-0"),
        *("order no. 0612345678", "#1234567890", "version 12.30.45.67", "1.2.3.4", "127.0.0.1"),
        *("1.234.567,89 €", "€0123 456 789", "48.858370, 2.294481", "user@localhost", "@handle"),
        *("std::vector", "12:30:45", "DE89 3704 0044 0532 0130 01", "4111 1111 1111 1112"),
        *("612 345 678 people", "0.0612345678", "call 911", "666-12-3456", "GB 12 34 56 C"),
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert scrub(text)[0] == text


def test_real_prose_holds_none(shared_data: Path) -> None:
    """Two million words of old novels: nobody in them has a telephone."""
    import gzip

    for path in sorted((shared_data / "standard_ebooks").glob("*.txt.gz"))[:12]:
        assert not find_personal(gzip.decompress(path.read_bytes()).decode("utf-8"))


@given(st.text(st.sampled_from("+0123456789 ().-/@:abDE\n"), max_size=120))
def test_findings_are_in_order_and_do_not_overlap(text: str) -> None:
    found = find_personal(text)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    clean, counts = scrub(text)
    assert counts.total() == len(found)
    kept = len(text) - sum(one.end - one.start for one in found)
    assert len(clean) == kept + sum(len(one.kind) + 2 for one in found)


@given(st.integers(0, 10**15), st.integers(0, 9))
def test_luhn_has_one_digit_for_each_number(number: int, place: int) -> None:
    """One last digit of ten checks out, and changing any one digit is noticed."""
    right = [d for d in "0123456789" if identifiers.luhn(f"{number}{d}")]
    assert len(right) == 1
    whole = f"{number}{right[0]}"
    place %= len(whole)
    others = [d for d in "0123456789" if d != whole[place]]
    assert not any(identifiers.luhn(whole[:place] + d + whole[place + 1 :]) for d in others)


@given(st.text("0123456789", min_size=10, max_size=10))
def test_german_check_digit_is_that_of_iso_7064(body: str) -> None:
    """The definition by recursion: the sum of all, each doubled modulo 11, is 1 modulo 10."""
    for last in "0123456789":
        if identifiers.is_german_tax_id(body + last):
            product = 10
            for digit in body:
                product = ((product + int(digit) - 1) % 10 + 1) * 2 % 11
            assert (product + int(last)) % 10 == 1


def test_a_text_without_end_takes_linear_time() -> None:
    """Patterns that could try every split of a long run would hang here."""
    for unit in ("a", "1", "a.", "1-", "(", "@", "a@", "1 ", "::", "a@b."):
        scrub(unit * 40_000)


def test_values_of_json_are_scrubbed_throughout() -> None:
    value = {"who": ["jo@example.org", 7, None], "jo@example.org": {"ip": "203.0.113.7"}}
    assert scrubbed(value) == {"who": ["<EMAIL>", 7, None], "<EMAIL>": {"ip": "<IP>"}}
