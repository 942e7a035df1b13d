"""Streets, post boxes, postal codes: places that begin with or consist of a number."""

import re
from collections.abc import Iterator

from medlora.data.privacy.places import STATE
from medlora.data.privacy.spans import Span

_SUFFIX = (
    "Alley|Ally|Aly|Annex|Arcade|Avenue|Ave|Av|Bayou|Beach|Bend|Bluff|Blvd|Boulevard|Branch|Bridge|"
    "Brook|Burg|Bypass|Byway|Canyon|Cape|Causeway|Center|Centre|Chase|Circle|Cir|Cliff|Close|Club|"
    "Common|Commons|Corner|Corners|Corso|Course|Court|Ct|Cove|Creek|Crescent|Cres|Crest|"
    "Croft|Crossing|"
    "Crossroad|Curve|Dale|Dam|Divide|Drive|Drives|Dr|Estate|Estates|Expressway|Expy|"
    "Extension|Falls|"
    "Ferry|Field|Fields|Flat|Flats|Ford|Forest|Forge|Fork|Fort|Freeway|Fwy|Garden|Gardens|"
    "Gdns|Gate|"
    "Gateway|Glen|Green|Grove|Harbor|Haven|Heights|Hts|Highway|Hwy|Hill|Hills|Hollow|Inlet|Island|"
    "Isle|Junction|Key|Knoll|Knolls|Lake|Landing|Lane|Ln|Light|Loaf|Lock|Lodge|Loop|Mall|"
    "Manor|Meadow|"
    "Meadows|Mews|Mill|Mills|Mission|Motorway|Mount|Mountain|Neck|Orchard|Oval|Overpass|Park|"
    "Parkway|"
    "Parkways|Pkwy|Pass|Passage|Path|Pike|Pine|Pines|Place|Pl|Plain|Plains|Plaza|Plz|Point|"
    "Pointe|Port|"
    "Prairie|Quay|Radial|Ramp|Ranch|Rapid|Rapids|Rd|Rest|Ridge|Rise|River|Road|Roads|Route|"
    "Rte|Row|Rue|"
    "Run|Shoal|Shore|Shores|Skyway|Spring|Springs|Spur|Square|Sq|Station|Stravenue|Stream|Street|"
    "Streets|Str|St|Summit|Terrace|Ter|Terr|Throughway|Trace|Track|Trafficway|Trail|Trl|"
    "Trailer|Tunnel|"
    "Turnpike|Tpke|Underpass|Union|Valley|Via|Viaduct|View|Village|Ville|Vista|Walk|Wall|Way|"
    "Well|Wells|"
    "Wharf|Yard|Broadway|Esplanade|Promenade|Parade|Strand|Bowery|Vale"
)
_WORD = r"[A-Z0-9][\w'’.\-]{0,24}"
_SIDE = r"(?:(?:[NS][EW]?|[EW]|(?:North|South)(?:east|west)?|East|West)\.?\s)"
_UNIT = (
    r"(?:,?\s{0,2}(?:Apt|Apartment|Unit|Suite|Ste|Rm|Room|Floor|Fl|Bldg|Building|Lot|Flat|"
    r"Space|Trlr|"
    r"No|Box|PMB|PO\sBox|#)(?![a-z])\.?\s?#?\s?[\w\-]{1,8}"
    r"|,?\s\d{1,2}(?:st|nd|rd|th)\s[Ff]l(?:oor)?)"
)
_CITY = rf"(?:,?\s{{0,2}}\n?(?:{_WORD}\s?){{1,3}}(?=,|\s\d))"
_CODE = r"(?:\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}|[A-Z]\d[A-Z]\s?\d[A-Z]\d|\d{4,6})"
_TAIL = (
    rf"(?:{_UNIT}){{0,2}}"
    rf"(?:,?\s{{0,3}}(?:{_WORD}\s){{0,2}}{_WORD},?\s{{0,2}}(?:{STATE})(?:,?\s{{0,2}}{_CODE}(?!\w))?"
    rf"|,\s?(?:{_WORD}\s){{0,2}}{_WORD}(?:,?\s{_CODE}(?!\w))?)?"
)
_STREET = re.compile(
    rf"(?<![\w.,/\-$])(?:\d{{1,6}}(?:-\d{{1,5}})?[A-Za-z]?(?:\s1/2)?)\s{{1,2}}{_SIDE}?"
    rf"(?:{_WORD}\s{{1,2}}){{0,4}}?(?:{_SUFFIX})(?![\w])\.?(?:\s(?:N|S|E|W|NE|NW|SE|"
    rf"SW)\b\.?)?{_TAIL}"
)
_STREET_SMALL = re.compile(
    r"(?<![\w.,/\-$])\d{1,6}\s(?:[a-z]{2,16}\s|\d{1,3}(?:st|nd|rd|th)\s){1,2}"
    r"(?:street|avenue|ave|road|rd|boulevard|blvd|lane|drive|court|terrace|circle|parkway|"
    r"highway)\b"
    r"(?:\s(?:apt|unit|suite)\.?\s?#?\w{1,5})?",
)
_HIGHWAY = re.compile(
    r"(?<![\w.,/\-$])\d{1,6}\s(?:(?:US|State|County|Old|Rural)\s){0,2}(?:Highway|Hwy|Route|"
    r"Rte|Road|CR|SR|"
    rf"Broadway|Avenue|FM|Calle|Rue|Via|Camino|Avenida|Rua|Paseo)\s(?:(?:de|la|del|des|du|los|"
    rf"las)\s){{0,2}}[A-Z0-9][\w'’\-]{{0,20}}(?:\s[A-Z][\w'’\-]{{1,20}}){{0,2}}{_TAIL}"
)
_FOREIGN = re.compile(
    r"(?<!\w)(?:[A-ZÄÖÜÅÆØÉ][\w\-.]{1,30}(?:stra(?:ß|ss)e|str\.|gasse|weg|platz|allee|damm|"
    r"ufer|[Rr]ing|[Gg]asse|[Ss]tra(?:ß|ss)e|[Ww]eg|[Pp]latz|gade|boulevardi?|bulevardi|kuja|"
    r"polku|plassen|bakken|svingen|gränd|stigen|hof|kaj|allé|singel|pad|dijk|"
    r"vej|veien|vegen|gata|gatan|vägen|katu|tie|laan|straat|plein|gracht|kade|utca|út|ulica|utja)"
    r"|(?:[A-ZÄÖÜ][\w\-.]{1,24}\s){1,2}(?:Straße|Strasse|Str\.|Weg|Platz|Allee|Ring|Gasse|vej|"
    r"gade|gatan|"
    r"vägen|út|utca)"
    r"|(?:Rue|Avenue|Av\.|Boulevard|Place|Chemin|Impasse|Quai|Via|Viale|Piazza|Corso|Calle|C/|"
    r"Avenida|Avda\.|"
    r"Plaza|Paseo|Carrer|Camino|Rua|Travessa|Praça|Largo|Estrada|ul\.|Ulica|Ul\.|al\.|Jalan|"
    r"Jl\.|pl\.|aleja|ulica|Alameda|Rambla|Pasadizo|Contrada|Borgo|Vicolo|Ronda|Glorieta|"
    r"Callejón|os\.)"
    r"\s(?:(?:de|la|las|los|del|des|du|da|do|dos|di|della|le|les|d'|l')\s?){0,3}"
    r"[A-ZÁÉÍÓÚÀÈÇŁŚŻ][\w'’.\-]{0,24}(?:\s(?:(?:de|la|del|da|do|"
    r"di)\s)?[A-ZÁÉÍÓÚÀÈÇ][\w'’.\-]{0,24}){0,3})"
    r",?\s(?:n[º°o]\.?\s?|Nr\.?\s)?\d{1,5}\s?[a-zA-Z]?(?!\w)"
    rf"(?:,?\s{{1,2}}\d{{4,5}}(?:-\d{{3}})?\s{_WORD}(?:\s{_WORD}){{0,2}})?"
)
_FOREIGN_FIRST = re.compile(
    r"(?<![\w.,/\-$])\d{1,4}\s?(?:bis|ter)?,?\s(?:rue|avenue|boulevard|place|chemin|impasse|"
    r"quai|allée|cours|"
    r"route)\s(?:(?:de|la|des|du|le|les)\s|d['’]|de\sl['’]){0,3}[A-ZÉÈÀÇ][\w'’.\-]{1,24}"
    rf"(?:[\s\-][A-ZÉÈÀÇ][\w'’.\-]{{1,24}}){{0,3}}(?:,?\s\d{{5}}\s{_WORD})?"
)
_BOX = re.compile(
    r"(?<!\w)(?:P\.?\s?O\.?\s?Box|Post\sOffice\sBox|PO\sBox|Postfach|GPO\sBox|Private\sBag|APO|FPO|"
    rf"PSC|USNS|USS)\s(?:#\s?)?[A-Z0-9\-]{{1,12}}{_TAIL}",
    re.IGNORECASE,
)
_RURAL = re.compile(
    r"(?<!\w)(?:RR|R\.R\.|Rural\sRoute|HC|Star\sRoute)\s#?\d{1,4},?\sBox\s\d{1,5}\w?", re.IGNORECASE
)
_LABELLED_CODE = re.compile(
    r"\b(?:zip(?:\s?-?codes?)?|postal(?:\scode)?|post\s?codes?|postcode|plz)(?:\s(?:is|of|"
    r"code|number))?[\s:#(]{0,3}"
    r"(?P<code>\d{5}(?:[\-\s]\d{4})?|\d{3,6}|[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}|[A-Z]\d[A-Z]\s?\d[A-Z]\d)(?!\w)",
    re.IGNORECASE,
)
_PLUS_FOUR = re.compile(r"(?<![\w\-./])\d{5}-\d{4}(?![\w\-])")
_BRITISH = re.compile(r"(?<![\w\-])[A-Z]{1,2}\d[A-Z\d]?\s\d[ABD-HJLNP-UW-Z]{2}(?![\w\-])")
_CANADIAN = re.compile(
    r"(?<![\w\-])[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z]\s\d[ABCEGHJ-NPRSTV-Z]\d(?![\w\-])"
)
_STATE_CODE = re.compile(
    rf"(?<!\w){STATE},?\s{{1,2}}(?P<code>\d{{5}}(?:-\d{{4}})?)(?![\w,]|[.]\d|\s?(?:mg|ml))"
)
_AT_HOME = re.compile(
    r"\b(?:address|addr|lives?\s(?:at|on)|living\s(?:at|on)|resid(?:es?|ing)\s(?:at|on)|"
    r"residence|located\sat|"
    r"home\sis|mail(?:ed)?\sto|send(?:\sit)?\sto|sent\sto|deliver(?:ed)?\sto|ship(?:ped)?\sto|"
    r"moved\sto)"
    r"(?:\s(?:is|was|of|at|to|the)){0,2}[\s:]{1,3}"
    rf"(?P<place>\d{{1,6}}[A-Za-z]?\s(?:{_WORD}\s?){{1,4}}{_TAIL}"
    rf"|(?:{_WORD}\s){{1,3}}(?:{_SUFFIX})\b\.?)",
    re.IGNORECASE,
)
# Any other country's: capitalised words and numbers behind a word that announces an address.
_ANNOUNCED = re.compile(
    r"(?:\b(?:[Aa]ddress|[Aa]ddr|lives?\s(?:at|on)|living\s(?:at|on)|[Rr]esid(?:es?|"
    r"ing)\s(?:at|on)|"
    r"[Rr]esidence|located\s(?:at|on)|send\s(?:it\s)?to|mail(?:ed)?\sto|deliver(?:ed)?\sto|"
    r"moved\sto))(?:\s(?:is|was|to|with|at)){0,2}[\s:]{1,3}"
    r"(?P<place>(?:(?:[^\W\d_a-z][\w'’.\-]{0,24}|\d[\w/\-]{0,9}|de|la|del|des|du|da|do|di|van|"
    r"der|den)"
    r"(?:,?[ ]|,?\n|,|(?=\W|$))){2,10})"
)


def find_addresses(text: str) -> Iterator[Span]:
    """Yield street addresses and postal codes."""
    small = text.lower()
    for pattern, group, needed in _PATTERNS:
        if needed and not any(word in small for word in needed):
            continue
        for match in pattern.finditer(text):
            start, end = match.span(group)
            if group != "place" or any(character.isdigit() for character in text[start:end]):
                yield Span(start, _trimmed(text, start, end), "LOCATION")


def _trimmed(text: str, start: int, end: int) -> int:
    """Leave spaces and punctuation at the end out."""
    return start + len(text[start:end].rstrip(" \n,.;:"))


_HOMES = ("addr", "liv", "resid", "locat", "home", "mail", "send", "sent", "ship", "move")
# A pattern, the group that is the place, and words of which one has to be there for it to fit.
_PATTERNS: tuple[tuple[re.Pattern[str], str | int, tuple[str, ...]], ...] = (
    (_STREET, 0, ()),
    (_STREET_SMALL, 0, ()),
    (_HIGHWAY, 0, ()),
    (_FOREIGN, 0, ()),
    (
        _FOREIGN_FIRST,
        0,
        ("rue", "av", "place", "chemin", "impasse", "quai", "all", "cours", "rout"),
    ),
    (_BOX, 0, ("box", "post", "bag", "apo", "fpo", "psc", "usns", "uss")),
    (_RURAL, 0, ("box",)),
    (_PLUS_FOUR, 0, ()),
    (_BRITISH, 0, ()),
    (_CANADIAN, 0, ()),
    (_LABELLED_CODE, "code", ("zip", "post", "plz")),
    (_STATE_CODE, "code", ()),
    (_AT_HOME, "place", (*_HOMES, "deliver")),
    (_ANNOUNCED, "place", (*_HOMES, "deliver")),
)
