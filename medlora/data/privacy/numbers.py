"""Numbers whose form alone says what they are: social security, cards, accounts, vehicles."""

import re
from collections.abc import Callable, Iterator

from medlora.data.privacy.spans import Span

_SSN = re.compile(
    r"(?<![\w\-])(?:\d{3}(?P<s>[\-–.]| - )\d{2}(?P=s)\d{4}|\d{3} \d{2} \d{4}"
    r"|[xX*]{3}[\-\s][xX*]{2}[\-\s]\d{4})(?![\w]|-\d)"
)
_CARD = re.compile(r"(?<![\w.\-])\d(?:[ \-]?\d){12,18}(?![\w]|[.\-]\d)")
_IBAN = re.compile(
    r"(?<!\w)[A-Z]{2}\d{2}(?:[ \-]?[A-Z0-9]{2,4}){3,8}(?:[ \-]?[A-Z0-9]{1,3})?(?!\w)"
)
_VIN = re.compile(
    r"(?<!\w)(?=[A-HJ-NPR-Za-hj-npr-z0-9]{17}(?!\w))(?=[A-Za-z]{0,16}\d)(?=\d{0,16}[A-Za-z])\w{17}"
)
_MEDICARE = re.compile(
    r"(?<!\w)[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d"
    r"-?[AC-HJKMNP-RT-Y]{2}\d{2}(?!\w)"
)
_DEA = re.compile(r"(?<!\w)[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}(?!\w)")
_MAC = re.compile(
    r"(?<![\w:\-])[0-9A-Fa-f]{2}(?P<m>[:\-])[0-9A-Fa-f]{2}(?:(?P=m)[0-9A-Fa-f]{2}){4}(?![\w:\-])"
)
_UDI = re.compile(r"\(01\)\s?\d{14}(?:\s?\((?:10|11|17|21)\)\s?[\w\-/]{1,20}){0,5}")
_UUID = re.compile(
    r"(?<![\w\-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![\w\-])",
    re.IGNORECASE,
)
_POSITION = re.compile(
    r"(?<![\d.])-?\d{1,3}\.\d{4,10}°?\s?[NS]?\s?[,;/]\s?-?\d{1,3}\.\d{4,10}°?\s?[EW]?(?!\d)"
)
# A code of letters and many digits that nothing names.
_CODE = re.compile(
    r"(?<![\w\-/.])#?(?P<prefix>[A-Z]{1,5})[\-_]?\d{5,12}(?:-?[A-Z]{1,3})?(?![\w]|-\w|\.\d)"
)
_HASH = re.compile(r"(?<![\w&])#\s?(?=[A-Z\-]{0,8}\d)[A-Z0-9][A-Z0-9\-]{4,24}(?!\w)")
_LONG = re.compile(r"(?<![\w.,$€£\-/])(?:\d{8,20}|\d{3,6}-\d{3,6}-\d{3,6})(?!\w|[.,]\d|%|-\d)")
# Names of compounds, trials, genes, publications: public, however many digits they have.
_PUBLIC_PREFIX = frozenset(
    "ABT AMG AZD BAY BI BMS CEP CHEBI CHEMBL CP DOI EMD GSE GSK GW HM HMR INCB IND ISBN ISO JNJ "
    "KW LY MEDI MK NCT NCBI NDA NM NP NSC OMIM ONO ORG PF PMC PMID PMCID PRO R RG RO RS SAR SB "
    "SCH SNP TAK UK WAY WO XM YM ENSG ENST ISRCTN EUDRACT ICD CPT LOINC RXCUI UMLS D C".split()
)


def find_numbers(text: str) -> Iterator[Span]:
    """Yield numbers that are told by their form, whatever stands around them."""
    for pattern, label, fits in _FORMS:
        for match in pattern.finditer(text):
            if fits(match):
                yield Span(match.start(), match.end(), label)


def _any(_: re.Match[str]) -> bool:
    return True


def _is_card(match: re.Match[str]) -> bool:
    """Check the last digit.  Source: ISO/IEC 7812-1, annex B (Luhn)."""
    digits = [int(d) for d in reversed(re.sub(r"\D", "", match.group()))]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


def _is_iban(match: re.Match[str]) -> bool:
    """Check the two digits after the country.  Source: ISO 13616-1 (mod 97)."""
    value = re.sub(r"[ \-]", "", match.group())
    if not 15 <= len(value) <= 34:  # noqa: PLR2004
        return False
    rearranged = value[4:] + value[:4]
    return int("".join(str(int(character, 36)) for character in rearranged)) % 97 == 1


def _is_code(match: re.Match[str]) -> bool:
    return match["prefix"] not in _PUBLIC_PREFIX


def _is_long(match: re.Match[str]) -> bool:
    """Leave round numbers and what counts molecules and money alone."""
    words = match.string[max(0, match.start() - 12) : match.start()].strip(" :#").split()
    return not match.group().endswith("0000") and words[-1:] not in _PUBLIC_WORDS


_PUBLIC_WORDS = [[prefix] for prefix in _PUBLIC_PREFIX]
_FORMS: tuple[tuple[re.Pattern[str], str, Callable[[re.Match[str]], bool]], ...] = (
    (_SSN, "SSN", _any),
    (_CARD, "ACCOUNT", _is_card),
    (_IBAN, "ACCOUNT", _is_iban),
    (_VIN, "VEHICLE", _any),
    (_MEDICARE, "HEALTH_PLAN", _any),
    (_DEA, "LICENSE", _any),
    (_MAC, "DEVICE", _any),
    (_UDI, "DEVICE", _any),
    (_UUID, "ID", _any),
    (_POSITION, "LOCATION", _any),
    (_CODE, "ID", _is_code),
    (_HASH, "ID", _any),
    (_LONG, "ID", _is_long),
)
