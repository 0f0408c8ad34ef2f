"""Full card numbers (C-2.5), passwords and their hashes (C-2.2b) are found however they are written, what only looks alike is let pass, and a
text is searched in a time that grows with it. A slow reference, which shares no code with the product, agrees on thousands of texts."""

from __future__ import annotations

import random
import re
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import house
import pytest

from pipelines.engines.duckdb_engine import Connection, connect
from pipelines.quality.forbidden import forbidden_in, holds_card_number

CARD = house.CARD
FOURS = ("4111", "1111", "1111", "1111")


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    opened = connect(tmp_path_factory.mktemp("spill"), extensions=())
    yield opened
    opened.close()


def held(connection: Connection, *texts: str) -> list[str]:
    """Those of the texts that hold a card number."""
    return _where(connection, holds_card_number("x"), texts)


def named(connection: Connection, name: str, *texts: str) -> list[str]:
    """Those of the texts in which that is found."""
    return _where(connection, f"{forbidden_in('x')} is not distinct from '{name}'", texts)


def _where(connection: Connection, condition: str, texts: tuple[str, ...]) -> list[str]:
    rows = f"select unnest($1) as x, unnest(range({len(texts)})) as n"
    return [text for (text,) in connection.execute(f"select x from ({rows}) where {condition} order by n", [list(texts)]).fetchall()]


# --- card numbers: found ----------------------------------------------------------------------------------------------


def luhn(number: str) -> bool:
    return sum(sum(divmod(int(figure) * (1 + place % 2), 10)) for place, figure in enumerate(reversed(number))) % 10 == 0


def completed(digits: str) -> str:
    """With the check digit that makes it pass."""
    return next(digits + last for last in "0123456789" if luhn(digits + last))


def issued(number: str) -> bool:
    """Whether an issuer gives out numbers like it: by ranges, as their public tables show them."""
    n, four, two = len(number), int(number[:4]), int(number[:2])
    return any([
        number[0] == "4" and n in (13, 16, 19),
        (51 <= two <= 55 or 2221 <= four <= 2720) and n == 16,
        two in (34, 37) and n == 15,
        (3000 <= four <= 3059 or four == 3095 or two in (36, 38, 39)) and n in (14, 16),
        two == 35 and n == 16,
        four in (1800, 2131) and n == 15,
        (four == 6011 or 644 <= four // 10 <= 649 or two == 65) and n in (16, 19),
        two == 62 and 16 <= n <= 19,
        four in (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763) and 13 <= n <= 19,
        (four == 5019 or 2200 <= four <= 2204) and n == 16,
    ])


def test_of_all_first_digits_and_lengths_those_that_an_issuer_gives_out_are_found(connection: Connection) -> None:
    edges = [1800, 2131, 2200, 2204, 2221, 2720, 3000, 3059, 3095, 3400, 3600, 3700, 3800, 4000, 5000, 5018, 5019, 5020, 5038, 5100, 5599, 5893, 6011,
             6199, 6200, 6299, 6304, 6440, 6499, 6500, 6599, 6759, 6761, 6763]
    firsts = sorted({*range(0, 10_000, 29), *(edge + step for edge in edges for step in (-1, 0, 1))})
    numbers = [completed(f"{first:04}" + "7" * (length - 5)) for first in firsts for length in range(11, 21)]
    assert held(connection, *numbers) == [number for number in numbers if issued(number)]


WRITTEN = [
    "call me, 4111 1111 1111 1111, thanks", "n°4111111111111111.", "x4111111111111111y", "4111 1111 1111 1111 12/27", "1 4111111111111111",
    "12/27 4111 1111 1111 1111", "4111111111111112 4111111111111111", "06 12 34 56 78 4111 1111 1111 1111", "le 17-05-2015 4111111111111111",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "41 11 11 11 11 11 11 11", "411111 1111111111", "3782 822463 10005", "4111 - 1111 - 1111 - 1111",
    "n=4111111111111111&q=0.5", "1.4111111111111111", "0.5 4111111111111111", "0.4111 1111 1111 1111", "50%4111111111111111",
    "%224111111111111111%22", "4111_1111-1111 1111", "/2015/4111/1111/1111/1111", "3782/822463/10005", "3056.930902.5904", "6304.0000.0000.0000.000",
    "4111 1111\r\n1111 1111", "%EF%BC%94" + "%EF%BC%91" * 15, r"\uff14" + r"\uff11" * 15, *(" ".join(FOURS).translate({ord("0") + n: zero + n
    for n in range(10)}) for zero in (0xFF10, 0x660, 0x6F0, 0x966, 0x1D7CE)),
]  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_a_card_number_is_found_beside_other_digits_and_in_groups_of_any_size(connection: Connection, text: str) -> None:
    assert held(connection, text) == [text]


BLANKS = "\t +-\u00a0\u00ad\u2007\u2009\u200b\u200c\u200d\u200e\u2010\u2011\u2012\u2013\u2014\u202a\u202f\u2060\u2066\u2212\u3000\ufeff\uff0d"


def forms(character: str) -> list[str]:
    """A character as texts, URLs (encoded twice, too), Apache's log, HTML and JSON write it."""
    in_url = "".join(f"%{byte:02X}" for byte in character.encode())
    return [character, in_url, in_url.lower(), in_url.replace("%", "%25"), in_url.replace("%", r"\x").lower(), f"&#{ord(character)};",
            f"&#x{ord(character):x};", f"&amp;#{ord(character)};", rf"\u{ord(character):04x}", rf"\\u{ord(character):04X}"]


@pytest.mark.parametrize("character", BLANKS, ids=[f"U+{ord(c):04X}" for c in BLANKS])
def test_blanks_dashes_and_invisible_characters_stand_between_groups_of_any_size_however_they_are_written(
        connection: Connection, character: str) -> None:
    texts = [written.join(groups) for written in forms(character) for groups in (FOURS, ("41", "11", "1111111", "11111"), tuple(CARD))]
    assert held(connection, *texts) == texts


OTHERS = ["&nbsp;", "&amp;nbsp;", "&thinsp;", "&shy;", "&ndash;", "&zwj;", "%A0", r"\xa0", r"\t", "%0A", r"\n", "%5F", "%2f", "%252E"]


@pytest.mark.parametrize("blank", OTHERS)
def test_names_of_blanks_and_other_bytes_stand_between_groups_too(connection: Connection, blank: str) -> None:
    assert held(connection, blank.join(FOURS)) == [blank.join(FOURS)]


@pytest.mark.parametrize("mark", ["_", "/", ".", "\n", "\r\n", " / ", ". "])
def test_other_marks_stand_between_the_groups_printed_on_cards_and_between_no_others(connection: Connection, mark: str) -> None:
    printed = [mark.join(groups) for groups in (FOURS, ("3782", "822463", "10005"), ("3056", "930902", "5904"))]
    other = [mark.join(groups) for groups in (tuple(CARD), ("41", "11", "1111111", "11111"), ("411111", "1111111111"))]
    assert held(connection, *printed, *other) == printed


# --- card numbers: let pass -------------------------------------------------------------------------------------------

NO_CARDS = [
    "", "4111", "4111111111111112", "4111 1111 1111 1112", "99994111111111111111", "41111111111111110", "4111 1111 1111",
    "4111    1111    1111    1111", "4111,1111,1111,1111", "4111|1111|1111|1111", "0612345678", "06 12 34 56 78", "10.3.0.4.111.111.111.111.1.1.1",
    "4/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1",
    "gs_l=partner.3..0.9832.10273.0.10386.4.2.0.2.2.0.128.162.1j1.2.0", "2015/05/21 12:00 2015/05/22 12:00", "_ga=GA1.2.1234567890.1432192800",
    "2015-05-21T12:00:00.411111111+02:00", "6304 0000 0000", "fbclid=IwAR0dG41x11_11y1111z1111-1111", "id 9999999999999995",
    completed("143186790312"), completed("143186790312345"), completed("143186790312345678"),  # time since 1970 in ms, µs, ns
]  # fmt: skip


@pytest.mark.parametrize("text", NO_CARDS)
def test_what_is_no_card_number_is_let_pass(connection: Connection, text: str) -> None:
    assert held(connection, text) == []


KNOWN = {  # what has a form and a check of its own, holding what would be a card number; the same without either
    "an IBAN": ("IBAN FR16 4111 1111 1111 1111 1234 567, merci", "IBAN FR17 4111 1111 1111 1111 1234 567, merci"),
    "an IBAN of another country": ("NO44 0000 0000 024", "XX44 0000 0000 024"),
    "a SIRET in its groups": ("380 129 866 46850", "3801 298 664 6850"),
    "a SIRET after the word": ("SIRET : 38012986646850", "réf. : 38012986646850"),
    "an EAN after the word": ("?ean=4006381333924", "?ref=4006381333924"),
    "a UUID": ("a1b2c341-1111-4111-8111-111111111111", "a1b2c3 4111-1111-1111-1111 111111"),
    "an MD5": ("d41d8cd9e8f0f4111111111111111ae2", "d41d8cd9e8f0f4111111111111111ae"),
    "a fraction": ("/pixel?cb=0.4111111111111111", "/pixel?cb=4111111111111111"),
    "a coordinate": ("?lat=48.4111111111111111&lng=-2.4111111111111111", "?lat=48&card=4111111111111111"),
    "a coordinate, encoded": ("?at%3D48.4111111111111111%2C-2.4111111111111111", "?at%3D4111111111111111"),
    "phones": ("tel 06 12 41 11 11 01 11 11 11 13", "tel 12 41 11 11 01 11 11 11 13"),
    "dates": ("du 23-12-2015 01-05-2016", "du 23122015 01052016"),
}


@pytest.mark.parametrize(("kind", "alike"), KNOWN.values(), ids=[*KNOWN])
def test_a_number_that_its_own_form_and_check_name_is_let_pass_and_without_them_refused(connection: Connection, kind: str, alike: str) -> None:
    assert held(connection, kind, alike) == [alike]


# --- card numbers: against a slow reference ---------------------------------------------------------------------------

LOOSE = {" ": " ", "-": "-", "+": "+", "\t": "\t", "\u00a0": " ", "\u200b": " ", "\u2013": "-", "%20": " ", "%2520": " ", "%C2%A0": " ",
         "%e2%80%8b": " ", "&nbsp;": " ", "&#160;": " ", r"\u00a0": " ", r"\xc2\xa0": " "}
PRINTED = {"_": "_", "/": "_", ".": "_", "\n": "_", "%2F": "_", "%0a": "_", r"\n": "_"}
OTHER = {",": ",", "|": "|", "x": "x", "é": "é", "%22": "!", "0.": "0.", " n° ": " n ° ", "&amp;": "&", "": ""}
PRINTED_ON_CARDS = [(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4)]
MEANT = re.compile("|".join(re.escape(w) for w in sorted([*LOOSE, *PRINTED, "%22"], key=len, reverse=True)))


def reference(text: str) -> bool:
    """Every stretch of neighbouring groups of digits, tried one by one."""
    text = "".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in text)
    kept_dots = re.sub(r"(?<![0-9.])0[.][0-9]{9,}", "|", MEANT.sub(lambda m: "." if m[0] == "." else (LOOSE | PRINTED | OTHER)[m[0]], text))
    parts = re.split("([0-9]+)", kept_dots)
    groups, between = parts[1::2], parts[2::2]
    blank = [re.fullmatch(r"[ \t+-]{1,3}", b) is not None for b in between]
    mark = [re.fullmatch(r"[ \t+-]{0,3}[_.]{1,2}[ \t+-]{0,3}", b) is not None for b in between]
    for first in range(len(groups)):
        forms = [form for form in PRINTED_ON_CARDS if tuple(map(len, groups[first:first + len(form)])) == form
                 and all(blank[n] or mark[n] for n in range(first, first + len(form) - 1))]
        last_joined = first + max(map(len, forms), default=1) - 1
        for last in range(first, min(first + 19, len(groups))):
            if last > last_joined and not blank[last - 1]:
                break
            number = "".join(groups[first:last + 1])
            if 13 <= len(number) <= 19 and issued(number) and luhn(number):
                return True
    return False


def random_text(chance: random.Random) -> str:
    """Groups of digits, cards among them and numbers one digit off a card, in any grouping, script and writing."""

    def digits(many: int) -> str:
        return "".join(chance.choice("0123456789") for _ in range(many))

    def grouped(number: str) -> str:
        marks = [*LOOSE] if chance.random() < 0.6 else [*PRINTED]
        mark = chance.choice(marks)
        sizes = chance.choice([[19], [4], [4, 6, 5], [4, 6, 4], [2], [1], [1, 7, 3, 8], [5, 3]])
        out, place = [], 0
        while number:
            size = sizes[place % len(sizes)]
            out, number, place = [*out, number[:size]], number[size:], place + 1
        return "".join(part + (mark if chance.random() < 0.95 else chance.choice([*marks, *OTHER])) for part in out[:-1]) + out[-1]

    parts = []
    for _ in range(chance.randrange(1, 6)):
        kind = chance.random()
        if kind < 0.5:
            first = chance.choice(["4", "51", "2221", "2720", "37", "305", "36", "3528", "6011", "65", "62", "5018", "6763", "2204", "9", "41"])
            number = completed(first + digits(chance.choice([12, 13, 14, 15, 15, 15, 16, 18, 19]) - len(first)))
            parts.append(grouped(number if chance.random() < 0.6 else number[:-1] + digits(1)))
        else:
            parts.append(digits(chance.randrange(1, chance.choice([3, 5, 9, 21]))))
        parts.append(chance.choice([*OTHER, *LOOSE, *PRINTED]) * chance.choice([1, 1, 1, 2, 4]))
    text = "".join(parts)
    foreign = chance.random() < 0.1 and not re.search(r"[%&\\]", text)
    return text.translate({ord("0") + n: 0xFF10 + n for n in range(10)}) if foreign else text


def test_a_slow_reference_agrees_on_thousands_of_random_texts(connection: Connection) -> None:
    chance = random.Random(25)
    texts = [random_text(chance) for _ in range(6_000)]
    expected = [text for text in texts if reference(text)]
    assert 1_000 < len(expected) < 3_000
    assert held(connection, *texts) == expected


def test_of_random_numbers_in_addresses_none_is_taken_for_a_card_and_of_bare_ones_as_many_as_chance_has_it(connection: Connection) -> None:
    chance = random.Random(4)
    assert held(connection, *(f"GET /pixel?cb={chance.random()}&t={chance.randrange(10**12, 2 * 10**12)}" for _ in range(10_000))) == []
    assert 200 < len(held(connection, *(f"id={chance.randrange(10**15, 10**16)}" for _ in range(10_000)))) < 400


# --- in a time that grows with the text -------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [" ", "/", ""])
@pytest.mark.parametrize("size", [1, 4, 19])
def test_a_card_number_after_a_hundred_thousand_groups_is_found_within_seconds(connection: Connection, size: int, between: str) -> None:
    chance = random.Random(3)
    groups = [str(chance.randrange(7 * 10 ** (size - 1), 10**size)) for _ in range(100_000)]
    text = between.join(groups)
    started = time.process_time()
    assert held(connection, f"{text} ", f"{text} x 4111 1111 1111 1111") == [f"{text} x 4111 1111 1111 1111"]
    assert time.process_time() - started < 20


# --- passwords and their hashes ---------------------------------------------------------------------------------------

HEX = "5f4dcc3b5aa765d61d8327deb882cf99"
BASE = "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY"
HASHES = {
    "bcrypt": "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
    "bcrypt of PHP": "$2y$10$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
    "bcrypt of WordPress": "$wp$2y$10$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
    "argon2": f"$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ${BASE}",
    "scrypt": f"$scrypt$ln=16,r=8,p=1$c29tZXNhbHQ${BASE}",
    "scrypt of Werkzeug": f"scrypt:32768:8:1$salt${HEX}{HEX}",
    "pbkdf2 of Django": f"pbkdf2_sha256$600000$salt${BASE}=",
    "pbkdf2 of Werkzeug": f"pbkdf2:sha256:260000$salt${HEX}{HEX}",
    "pbkdf2 of passlib": f"$pbkdf2-sha256$29000$c2FsdHNhbHQ${BASE}",
    "sha1 of Django": f"sha1$salt${HEX}12345678",
    "MD5 crypt": "$1$abcdefgh$TDu5xYoKlSLq2SYfYXxnR1",
    "MD5 crypt of Apache": "$apr1$abcdefgh$TDu5xYoKlSLq2SYfYXxnR1",
    "SHA-256 crypt": f"$5$rounds=5000$saltsalt${BASE}",
    "SHA-512 crypt": f"$6$saltsalt${BASE}{BASE}",
    "yescrypt": f"$y$j9T$saltsaltsalt${BASE}",
    "phpass": "$P$B12345678abcdefghijklmnopqrstuv",
    "Drupal": f"$S$D12345678{BASE}{BASE}",
    "SSHA": "{SSHA}MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u",
    "MD5 of LDAP": "{MD5}X03MO1qnZdYdgyfeuILPmQ==",
    "MySQL": "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19",
}


@pytest.mark.parametrize("value", HASHES.values(), ids=[*HASHES])
def test_a_password_hash_that_names_its_scheme_is_found_in_any_text_and_url(connection: Connection, value: str) -> None:
    texts = [value, f"le hash est {value}, je crois", f"/x?h={quote(value, safe='')}", f'{{"h": "{value}"}}']
    assert named(connection, "forbidden.password_hash", *texts) == texts


NO_HASHES = [
    HEX, f"{HEX}12345678", f"etag {HEX}{HEX}", "$2b$ or $6$ begin a hash", "it costs $1$, not $5$", "$2b$12$short", "{SHA}", "{md5}", "argon2id",
    "scrypt", "pbkdf2_sha256", "?q=scrypt%20vs%20bcrypt", "?q=pbkdf2_sha256%20or%20argon2", "$argon2id$", "2 * 2470C0C06D", "$HOME$PATH$USER",
    "US$1$US$2", "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_HASHES)
def test_bare_digests_and_words_about_hashes_are_let_pass(connection: Connection, text: str) -> None:
    assert named(connection, "forbidden.password_hash", text) == []


PASSWORDS = [
    "/login?user=anna&password=hunter2", "/login?PASSWORD=hunter2", "/?passwd=x", "/?a=1&pwd=x", "/?pass=x", "/?mot_de_passe=été",
    "/?motdepasse=x", "/?mdp=x", "/?mot-de-passe=x", "/?user%5Bpassword%5D=x", "/?user[password]=x", "/?new_password=x", "/?newPassword=x",
    "/?j_password=x", "/?password2=x",
    "/?password_confirmation=x", "/?password=%25secret", "/?password=*x", "/#password=x", "/a;password=x", "/go?next=%2Flogin%3Fpassword%3Dx",
    "/go?next=%252Flogin%253Fu%253Da%2526pwd%253Dx", "https://example.test/?a&amp;pwd=x", "password=hunter2&user=anna", "log=admin&pwd=x",
    '{"user": "anna", "password": "hunter2"}', r'{\"mdp\":\"x\"}', "%7B%22password%22%3A%22x%22%7D", "https://anna:hunter2@example.test/",
]  # fmt: skip


@pytest.mark.parametrize("text", PASSWORDS)
def test_a_password_in_a_url_a_form_or_json_is_found(connection: Connection, text: str) -> None:
    assert named(connection, "forbidden.password", text) == [text]


NO_PASSWORDS = [
    "password: lost", "mon mot de passe = perdu", "I changed my password=yes", "/?password=", "/?password=&user=anna", "/?password",
    "/?password=***", "/?compass=3", "/?bypass=1", "/?passport=12", "/?passenger=anna", "/?pass_id=1", "/reset-password/?step=2",
    "/?forgot_password=1",
    "/?action=lostpassword", "/?q=password", "/go?next=%3Fpassword%3D%26a", '{"password": ""}', '{"password": null}', '{"password": "***"}',
    "https://example.test:8080/@anna",
    "http://example.test/a:b@c", "see https://example.test: anna@example.test", "mailto:anna@example.test",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_PASSWORDS)
def test_prose_empty_values_and_names_that_are_no_password_s_are_let_pass(connection: Connection, text: str) -> None:
    assert named(connection, "forbidden.password", text) == []


def test_what_is_worst_is_named_and_an_empty_text_names_nothing(connection: Connection) -> None:
    texts = [f"/?password=x&card={CARD}&h={HASHES['bcrypt']}", f"/?password={HASHES['bcrypt']}", "/?password=x", "", "x"]
    found = connection.execute(f"select {forbidden_in('x')} from (select unnest($1) as x)", [[*texts, None]]).fetchall()
    assert found == [("forbidden.card_number",), ("forbidden.password_hash",), ("forbidden.password",), (None,), (None,), (None,)]


# --- in rows ----------------------------------------------------------------------------------------------------------


def test_rows_are_refused_for_what_they_hold_in_any_column_and_bad_lines_too(tmp_path: Path) -> None:
    changed = [{"body": HASHES["argon2"]}, {"thread_id": "?password=x"}, {"body": "password: lost"}, {"body": "pwd=x"}]
    posts = [house.post(number, **changes) for number, changes in enumerate(changed)]
    path = house.put(tmp_path / "posts.ndjson", house.ndjson(posts) + house.lines('{"post_id": "p5", "password": "hunter2"', '{"post_id": "p6"'))
    assert house.verdicts("forum_posts", path) == [
        "refused: forbidden.password_hash", "refused: forbidden.password", "good", "refused: forbidden.password", "refused: forbidden.password",
        "quarantined: line.not_json",
    ]  # fmt: skip
    requests = ["GET /?user=a&pwd=x HTTP/1.1", "GET /?pwd= HTTP/1.1", f"GET /?c={CARD} HTTP/1.1", "user=a&password=b"]
    log = house.put(tmp_path / "log", house.lines(*(house.log_line(request=request) for request in requests),
                                                  house.log_line(referer="https://example.test/?mdp=x"), house.log_line(agent=f"Bot {CARD}")))
    assert house.verdicts("access_logs", log) == [
        "refused: forbidden.password", "good", "refused: forbidden.card_number", "refused: forbidden.password", "refused: forbidden.password",
        "refused: forbidden.card_number",
    ]  # fmt: skip


def test_a_time_is_not_searched_and_a_number_in_its_place_is(tmp_path: Path) -> None:
    times = ["2015-05-17T10:00:00.411111111+1118", CARD, f"2015-05-17 {CARD}"]
    path = house.put(tmp_path / "times.ndjson", house.ndjson([house.post(number, posted_at=at) for number, at in enumerate(times)]))
    assert house.verdicts("forum_posts", path) == ["good", "refused: forbidden.card_number", "refused: forbidden.card_number"]


@pytest.mark.skipif(not house.REAL_LOG.exists(), reason="the real log is not here")
def test_no_line_of_the_real_log_holds_anything_forbidden(connection: Connection) -> None:
    lines = house.REAL_LOG.read_text("utf-8").splitlines()
    found = connection.execute(f"select count({forbidden_in('x')}), count(*) from (select unnest($1) as x)", [lines]).fetchall()
    assert found == [(0, 10_000)]
