"""A deleted member's name goes from texts that stay, the flower, the stone and the other Martin stay (C-2.6); an erasure takes contacts (C-11.3)."""

from __future__ import annotations

import unicodedata

import french_prose
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.retention.contacts import CONTACT
from pipelines.retention.names import NAME, occurrences, redact

N, C = NAME, CONTACT
PEOPLE = {"person": pl.UInt32, "kind": pl.String, "value": pl.String}
TEXTS = {"row": pl.Int64, "text": pl.String, "authors": pl.List(pl.UInt32), "near": pl.List(pl.UInt32)}
ROSE = [(1, "member_name", "Rose")]
MARIE = [
    (1, "member_name", "Marie42"), (1, "first_name", "Marie"), (1, "last_name", "Lefèvre"), (1, "identifier", "m000123"), (1, "identifier", "m77"),
    (1, "identifier", "fb:48151623"), (1, "email", "Marie.L@example.fr"), (1, "phone", "+33 6 39 98 12 34"),
    (1, "iban", "FR7630006000011234567890189"),
    (1, "street", "12 bis rue de l'Église"), (1, "postcode", "42000"), (1, "city", "Saint-Étienne"),
]
# words, words with accents, compounds, names with digits and marks, full names
NAMES = (
    "Rose", "Pierre", "Martin", "Olive", "Prune", "Claire", "Fleur", "Violette", "Noël", "Ange", "Loup", "Juste", "Parfait", "Constant", "Reine",
    "Blanche", "Jo", "Éléonore", "Benoît", "Müller", "Cœur", "Nguyen", "Paris", "Florence", "Petit", "Jean-Baptiste", "Anne-Sophie", "N'Diaye",
    "L'Hostis", "De La Fontaine", "Le Gall", "Rose42", "le_roux-75", "marie.d", "Marie Dupont", "Blanche Rose",
)
MENTIONS = (
    "@{n}", "@{n} merci pour le tuyau", "Je suis d'accord avec @{n}, c'est trop cher", "@ {n} : tu as raison", "Qu'en penses-tu, @{n} ?", "(@{n})",
    "@{n}: oui", "coucou @{n}!", "@{n}, @quelquun et les autres", "Merci @{n} 😊", "vu par @{n}.", "[mention=12]{n}[/mention] oui",
    "@\u2068{n}\u2069 oui",
    "voir /membres/{n}",
)
HEADERS = (
    "{n} a écrit :\n> c'est trop cher\nBof.", "Le 3 mars 2015 à 10:22, {n} a écrit :\n> oui", "Le 03/03/2015 à 10h22, {n} a écrit:\noui",
    "> {n} wrote:\n> > non\n", "{n} wrote:\nyes", "[quote={n}]Bonjour[/quote] oui", '[quote="{n}";123]Bonjour[/quote]', "[QUOTE]{n}\nbla[/QUOTE]",
    "[QUOTE={n};4512]bla[/QUOTE]", '[quote="{n}, post:3, topic:12"]\nbla\n[/quote]', "[quote author={n} link=topic=12]bla[/quote]",
    "Citation de {n} :\n« trop cher »", "Citation :\n{n} a écrit :\nbla", "Posté par {n} le 3 mars 2015\nbla", "Écrit par {n}\nbla",
    "Message de {n} :\nbla", "De : {n}\nÀ : tout le monde\nbla", "From: {n}\nbla", "En réponse à {n} :\nnon", "En réponse à {n}\nnon",
    "{n} a dit :\n« non »", "{n} said:\nno", "> {n} a écrit :\n> > bla\nnon", "**{n}** a écrit :\nbla", "« {n} » a écrit :\nbla",
    "On Mon, 3 Mar 2015 at 10:22, {n} <x@example.fr> wrote:\n> bla", "Comme {n} a écrit : non", "[b]{n}[/b] a écrit :\nbla",
    "<b>{n}</b> a écrit :<br>bla", "Quote from: {n} on March 3", "Message original\nDe : {n}\nObjet : vélo",
)
SIGNATURES = (
    "Le vélo est vendu.\n{n}", "Le vélo est vendu.\n\n{n}", "Le vélo est vendu.\n- {n}", "Le vélo est vendu.\n— {n}", "Le vélo est vendu. — {n}",
    "Cordialement, {n}", "Cordialement,\n{n}", "Merci d'avance,\n\n{n}", "Bises, {n}", "Bises 😘\n{n}", "C'est vendu.\n-- \n{n}",
    "C'est vendu, désolé.\n{n} ;-)", "C'est vendu.\nSigné : {n}", "C'est vendu, à demain.\n{n}\n\nPS : le casque aussi", "Bonne journée !\n{n} 🌷",
    "Bien cordialement\n{n}\n", "À bientôt, {n}.", "Merci ! {n}", "Bisous\n{n} xx", "Amicalement,\r\n{n}\r\n", "C'est vendu.\n~ {n} ~",
    "C'est vendu.\n{n}\n\nEnvoyé de mon téléphone", "Oui.<br>À bientôt<br>{n}", "Cdt\n{n}\n06 39 98 12 12", "Bonne soirée,\n{n} :D",
)
ADDRESSES = (
    "Bonjour {n}", "Bonjour {n}, toujours dispo ?", "Salut {n} !", "Merci {n}", "merci beaucoup {n}", "cher {n},\nvoici",
    "Coucou {n} tu vas bien ?", "{n}, tu as raison", "Bonsoir {n},\nje passe demain", "Chère {n},", "Bravo {n} !!", "Bienvenue {n} ! Tu verras.",
    "Non.\n{n}, as-tu encore le modèle ?", "Bonjour, {n} !", "Merci bien {n}, bonne journée", "Bonjour Alice et {n},", "{n}, ton astuce fonctionne",
)


def bare(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c))


SPELLINGS = (
    str, str.lower, str.upper, bare, lambda name: unicodedata.normalize("NFD", name), lambda name: name.replace("'", "’"),
    lambda name: name.replace("-", "\u2011"),
)


def people(rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=PEOPLE, orient="row")


def texts(*given_texts, own=(), near=()) -> pl.DataFrame:
    return pl.DataFrame([(n, text, list(own), list(near)) for n, text in enumerate(given_texts)], schema=TEXTS, orient="row")


def after(text, who=ROSE, contacts=False, **parties) -> str:
    """The text as it stays."""
    done = redact(texts(text, **parties), people(who), contacts=contacts)
    return done["text"][0] if done.height else text


def afters(some, who=ROSE, contacts=False, **parties) -> list[str]:
    done = dict(redact(texts(*some, **parties), people(who), contacts=contacts).select("row", "text").iter_rows())
    return [done.get(row, text) for row, text in enumerate(some)]


def wrong(templates, names, spellings) -> list[tuple[str, str]]:
    called = people([(n, "member_name", name) for n, name in enumerate(names)])
    cases = [(template.format(n=spelled(name)), template.format(n=N)) for template in templates for name in names for spelled in spellings]
    done = dict(redact(texts(*(text for text, _ in cases)), called, contacts=False).select("row", "text").iter_rows())
    return [(text, done.get(row, text)) for row, (text, wanted) in enumerate(cases) if done.get(row, text) != wanted]


@pytest.mark.parametrize("templates", [MENTIONS, HEADERS, SIGNATURES], ids=["mentions", "quote headers", "signatures"])
def test_every_name_goes_from_mentions_quote_headers_and_signatures_however_it_is_spelled(templates):
    assert wrong(templates, NAMES, SPELLINGS) == []


def test_every_name_goes_where_somebody_is_addressed_by_it():
    assert wrong(ADDRESSES, NAMES, [str, str.lower, bare]) == []


def test_each_placement_alone_goes_for_one_person_as_for_many():
    for name in ("Rose", "Éléonore", "le_roux-75"):
        assert wrong((*MENTIONS, *HEADERS, *SIGNATURES), [name], SPELLINGS) == []


PROSE = french_prose.texts()
FULL_NAMES = [(100, "first_name", "Blanche"), (100, "last_name", "Rose"), (101, "first_name", "Pierre"), (101, "last_name", "Petit")]
ALL_WORDS = [(n, "member_name", name) for n, name in enumerate(french_prose.MEMBERS)] + FULL_NAMES
EVERYBODY = [*range(len(french_prose.MEMBERS)), 100, 101]


def test_ordinary_french_with_rose_pierre_martin_and_olive_stays_as_it_is():
    assert french_prose.words(PROSE) > 10_000
    assert redact(texts(*PROSE), people(ALL_WORDS), contacts=False).is_empty()


def test_nor_does_it_change_where_all_of_them_are_a_party_to_the_row():
    assert redact(texts(*PROSE, near=EVERYBODY), people(ALL_WORDS), contacts=True).is_empty()


def test_nor_where_all_of_them_wrote_it():
    assert redact(texts(*PROSE, own=EVERYBODY), people(ALL_WORDS), contacts=False).is_empty()


def test_what_is_beside_a_redaction_stays_byte_for_byte():
    gaps = ("\u00a0", "\r\n\r\n", "\t", " 👩‍👧 ", " \u0301 ", "\u202e", "<b>", "\x00", "  ")
    given_texts = [f"Voilà{gap}!{gap}@Rose{gap}une rose{gap}ok,\r\nCordialement,\r\nROSE{gap}" for gap in gaps]
    assert afters(given_texts) == [text.replace("@Rose", f"@{N}").replace("ROSE", N) for text in given_texts]


GOES_AND_STAYS = [  # (what goes, what stays, parties)
    (["@Rose oui", "vu par @rose."], ["contact@rose.fr", "moi@rose", "@Rose-Marie oui", "@Rosette"], {}),
    (["Bonjour rose, dispo ?", "merci rose"], ["Bonjour, rose ou bleu ?", "Bonjour rosée", "merci, rose pâle c'est mieux"], {}),
    (["mon cher Rose, voilà"], ["pas cher rose et neuf", "moins cher Rose que noir"], {}),
    (["C'est gentil, Rose !"], ["Une olive, une prune, une rose !", "Anne, Rose !"], {}),
    (["Rose, tu viens ?"], ["Rose, elle se fane.", "Rose, pâle et fanée."], {}),
    (["Rose a écrit :\nx", "comme Rose a dit : x"], [
        "La rose a écrit :\nx", "Marie Rose a écrit :\nx", "Rose a écrit un livre.", "Rose a dit oui."], {}),
    (["[quote=Rose]x", '[quote="Rose";12]x'], ["[quote=Rose Martin]x", "[color=rose]x", "[quote]Rose pâle, dit-elle"], {}),
    (["comme dit Rose, non", "Comme l'a écrit Rose : non", "Comme Rose a dit, non"], ["comme dit la Rose", "comme dit Rose Martin"], {}),
    (["Citation de Rose :"], ["Citation de Rose Tremain :"], {}),
    (["De : Rose\nx"], ["Couleur : Rose\nx", "De : Rose Martin\nx"], {}),
    (["Voilà.\nRose", "Voilà.\n- Rose"], ["Voilà :\n- Bleu\n- Rose", "Couleur :\nRose", "bleu\nrose", "Voilà.\nRose pâle"], {}),
    (["Bises, Rose et Paul", "Bises, Paul et Rose"], ["Bises, roses et lilas", "Voilà. Rose"], {}),
    (["Voilà. Rose"], ["Quelle couleur ? Rose."], {"own": [1]}),
    (["J'ai vu Rose hier.", "l'annonce de Rose", "chez rose", "chez Rose", "Avec Rose c'est facile"],
     ["J'ai vu Rose Martin hier.", "rue Rose", "la Rose", "Rose fanée", "en Rose", "J'ai vu Marie Rose hier.", "une rose",
      "JE VENDS UNE ROBE ROSE"], {"near": [1]}),
    (["Rose m'a dit non", "Rose a raison"], ["Rose à l'eau", "Rose est une couleur"], {"near": [1]}),
    ([], ["J'ai vu Rose hier.", "l'annonce de Rose", "chez Rose", "Rose m'a dit non"], {}),
    ([], ["J'ai vu Rose hier.", "l'annonce de Rose"], {"near": [2], "own": [3]}),
]


@pytest.mark.parametrize(("goes", "stays", "parties"), GOES_AND_STAYS)
def test_each_rule_takes_the_member_and_leaves_the_word(goes, stays, parties):
    assert [text for text in afters(goes, **parties) if N not in text] == []
    assert afters(stays, **parties) == stays


def test_a_name_that_is_no_word_goes_everywhere_and_only_whole():
    who = [(1, "member_name", "Rose42"), (2, "member_name", "marie.d"), (3, "member_name", "le_roux-75"),
           (4, "first_name", "Marie"), (4, "last_name", "Dupont")]
    assert after("rose42, ROSE42, Rose421, xRose42, rose 42, %20Rose42", who) == f"{N}, {N}, Rose421, xRose42, rose 42, %20{N}"
    assert after("Marie.D et marie d, xmarie.d, le_roux-75 et le_roux 75, le_roux-750", who) == f"{N} et marie d, xmarie.d, {N} et {N}, le_roux-750"
    assert after("marie dupont, DUPONT Marie, Dupont, Marie ; Marie-Dupont", who) == f"{N}, {N}, {N} ; {N}"
    assert after("Marie Dupont-Moretti et Anne-Marie Dupont ; Marie, Dupond", who) == "Marie Dupont-Moretti et Anne-Marie Dupont ; Marie, Dupond"


def test_two_names_that_are_words_are_a_name_with_capital_letters():
    who = [(1, "first_name", "Blanche"), (1, "last_name", "Rose")]
    assert after("une rose blanche. Rose blanche à vendre. J'ai vu Blanche Rose, enfin Rose Blanche.", who) == (
        f"une rose blanche. Rose blanche à vendre. J'ai vu {N}, enfin {N}.")


def test_a_first_or_last_name_counts_in_texts_of_their_own_and_of_a_party_only():
    who = [(1, "member_name", "Choupette75"), (1, "first_name", "Pierre"), (1, "last_name", "Martin"), (2, "member_name", "Olive8")]
    assert after("Bonjour Pierre,\nvoilà.\nMartin", who) == "Bonjour Pierre,\nvoilà.\nMartin"
    for parties in ({"own": [1]}, {"near": [1]}, {"near": [2, 1]}):
        assert after("Bonjour Pierre,\nvoilà.\nMartin", who, **parties) == f"Bonjour {N},\nvoilà.\n{N}"
    assert after("Merci Olive !", who, near=[2]) == f"Merci {N} !"  # what is before the number is how people call them
    assert after("Merci Olive !", who) == "Merci Olive !"


HOSTILE = (
    "", "   ", ".*", "(a+)+$", "[", "\\", "a", "X", "le", "la", "de la", "à", "vélo", "bonjour", "Merci", "Bonjour à tous", "un", "12",
    "10h30", "2", "m2",
    "🌹", "😀😀", "\u202eesoR\u202c", "\u200b", "$1", "${1}", "e\u0301", "-", ">", "\n", "a" * 5_000, "rose " * 400, "[membre supprimé]",
    "membre", "supprimé", "]", "|", "^", "(?i)", "œ",
)


def test_a_hostile_name_neither_empties_the_forum_nor_breaks_it():
    forum = [*PROSE[:194], "Il est à 12 €, 2 m2, départ 10h30, le vélo de la voisine.", "a b c d - e > f [x] (y) | z ^ $1 🌹 😀😀 l'a"]
    who = people([(n, "member_name", name) for n, name in enumerate(HOSTILE)])
    assert redact(texts(*forum), who, contacts=True).is_empty()
    assert redact(texts(*forum, near=[*range(len(HOSTILE))]), who, contacts=True).is_empty()


def test_whatever_somebody_is_called_they_are_not_mentioned_or_quoted_any_more():
    strange = (".*", "(a+)+$", "a", "le", "vélo", "bonjour", "12", "🌹", "$1", "10h30", "Rose 🌹", "~Rose~", "x|y", "\u202eesoR\u202c")
    assert wrong(["@{n} oui", "[quote={n}]x[/quote]"], strange, [str]) == []
    assert wrong(["{n} a écrit :\nx"], ("bonjour", "🌹", ".*", "vélo", "Rose🌹", "10h30"), [str]) == []


def test_the_count_says_how_many_were_taken_out_and_only_changed_rows_come_back():
    given_texts = texts("@Rose et @rose", "une rose", "marie.l@example.fr ou 0639981234, @Marie42", None, own=[1]).with_columns(
        row=pl.struct(dataset=pl.lit("messages"), id=pl.col("row")))
    done = redact(given_texts, people([*ROSE, *MARIE]), contacts=True)
    assert done.rows() == [({"dataset": "messages", "id": 0}, f"@{N} et @{N}", 2, 0), ({"dataset": "messages", "id": 2}, f"{C} ou {C}, @{N}", 1, 2)]
    assert done.schema["names"] == done.schema["contacts"] == pl.UInt32
    nothing = redact(given_texts, people([]), contacts=True)
    assert nothing.is_empty() and nothing.schema == done.schema
    assert redact(given_texts.clear(), people(ROSE), contacts=True).is_empty()


PHONES = (
    "06 39 98 12 34", "06.39.98.12.34", "06-39-98-12-34", "06/39/98/12/34", "0639981234", "+33 6 39 98 12 34", "+33639981234", "0033 6 39 98 12 34",
    "+33 (0)6 39 98 12 34", "06\u00a039\u00a098\u00a012\u00a034", "06\u202f39\u202f98\u202f12\u202f34", "06 399 812 34", "%2B33639981234",
    "33639981234",
)


def test_a_telephone_number_goes_however_it_is_written():
    assert afters([f"Au {phone}, merci" for phone in PHONES], MARIE, contacts=True) == [f"Au {C}, merci"] * len(PHONES)
    assert afters([f"42000 {phone} 15 h" for phone in PHONES], MARIE, contacts=True) == [f"42000 {C} 15 h"] * len(PHONES)
    others = ["06 39 98 12 35", "106 39 98 12 34", "0639981234567", "6 39 98 12 34 €"]
    assert afters(others, MARIE, contacts=True) == others
    assert after("02 470 12 34, +32 2 470 12 34 et 0032 2 470 12 34", [(1, "phone", "+32 2 470 12 34")], contacts=True) == f"{C}, {C} et {C}"


def test_an_iban_goes_with_spaces_and_without_and_the_word_behind_it_stays():
    ibans = ("FR7630006000011234567890189", "FR76 3000 6000 0112 3456 7890 189", "fr76 3000 6000 0112 3456 7890 189",
             "FR76\u00a03000\u00a06000\u00a00112\u00a03456\u00a07890\u00a0189")
    assert afters([f"IBAN : {iban} merci" for iban in ibans], MARIE, contacts=True) == [f"IBAN : {C} merci"] * len(ibans)
    other = "FR76 3000 6000 0112 3456 7890 188, FR76300060000112345678901890"
    assert after(other, MARIE, contacts=True) == other


def test_an_email_goes_in_any_case_and_spelled_out_and_only_whole():
    emails = (
        "marie.l@example.fr", "MARIE.L@EXAMPLE.FR", "marie.l%40example.fr", "marie.l [at] example.fr", "marie.l (arobase) example point fr",
        "marie point l arobase example point fr", "marie.l @ example.fr", "marie.l(at)example.fr", "marie[point]l[at]example[point]fr")
    assert afters([f"Ici : {email}. Merci" for email in emails], MARIE, contacts=True) == [f"Ici : {C}. Merci"] * len(emails)
    assert afters([f"?mail={email}&x=1" for email in emails], MARIE, contacts=True) == [f"?mail={C}&x=1"] * len(emails)
    others = ["xmarie.l@example.fr", "marie.l@example.fr.com", "x.marie.l@example.fr", "marie.l@example.frx", "marie.l@sub.example.fr"]
    assert afters(others, MARIE, contacts=True) == others


def test_an_identifier_goes_from_any_text_and_path_as_a_whole_word():
    line = "/membres/m000123?x=1 /u/m000123/photos %2Fm000123 photo_m000123.jpg M000123 m77 fb:48151623"
    assert after(line, MARIE, contacts=True) == f"/membres/{C}?x=1 /u/{C}/photos %2F{C} photo_{C}.jpg {C} {C} {C}"
    other = "m0001234 m770 xm77 fb:481516233 48151623"
    assert after(other, MARIE, contacts=True) == other
    short = [(1, "identifier", "12"), (1, "identifier", "m2")]
    assert after("/u/12 et /membres/m2 : 12 €, 30 m2", short, contacts=True) == f"/u/{C} et /membres/{C} : 12 €, 30 m2"


def test_two_words_that_are_clothes_are_a_name_with_capital_letters_alone():
    """A marketplace sells jeans; Jean Petit is somebody."""
    jean = [(1, "first_name", "Jean"), (1, "last_name", "Petit"), (1, "member_name", "Marcel Blanc")]
    others = ["un jean petit modèle", "le jean, petit prix", "un marcel blanc en coton"]
    assert afters(others, jean) == others
    assert afters(["vu avec Jean Petit hier", "vendu à Marcel Blanc"], jean) == [f"vu avec {N} hier", f"vendu à {N}"]


def test_an_address_goes_from_own_texts_only():
    text = "J'habite 12 bis, rue de l'Eglise, 42000 SAINT ETIENNE (Saint-Étienne 42000), près de Saint-Étienne."
    assert after(text, MARIE, contacts=True, own=[1]) == f"J'habite {C}, {C} ({C}), près de Saint-Étienne."
    assert after(text, MARIE, contacts=True, near=[1]) == text
    other = "Au 112 bis rue de l'Église ou rue de l'Église, 42000 Roanne"
    assert after(other, MARIE, contacts=True, own=[1]) == other


def test_an_account_that_ends_keeps_contacts_in_texts_and_an_erasure_takes_both():
    text = "marie.l@example.fr, 0639981234, m000123, @Marie42"
    assert after(text, MARIE) == f"marie.l@example.fr, 0639981234, m000123, @{N}"
    assert after(text, MARIE, contacts=True) == f"{C}, {C}, {C}, @{N}"


def test_markers_do_not_tell_two_members_apart():
    assert after("Bonjour Rose", ROSE) == after("Bonjour Pierre", [(2, "member_name", "Pierre")])


def test_the_final_scan_counts_what_still_stands_as_a_word_and_finds_no_name():
    given_texts = texts("Bonjour Rose, une rose pour Rose42", "deux roses, une rose, m000123", "[membre supprimé] a écrit", near=[3])
    who = people([
        *ROSE, (2, "member_name", "Rose42"), (3, "first_name", "Rose"), (4, "first_name", "Rose"), (5, "member_name", "membre"),
        (6, "member_name", ".*"),
    ])
    done = redact(given_texts, who, contacts=False)
    left = given_texts.update(done.select("row", "text"), on="row")
    assert occurrences(given_texts, who).rows() == [(1, 0, 3, 2), (2, 1, 0, 1), (3, 0, 3, 2), (4, 0, 0, 0), (5, 0, 0, 0), (6, 0, 0, 0)]
    assert occurrences(left, who).rows() == [(1, 0, 2, 2), (2, 0, 0, 0), (3, 0, 2, 2), (4, 0, 0, 0), (5, 0, 0, 0), (6, 0, 0, 0)]


LETTERS = st.text(st.sampled_from("abeRosePier éÉ'’-_.@:,!?\n>[]0123456789🌹\u0301\u200b%F+"), max_size=40)
CALLED = st.one_of(LETTERS, st.sampled_from(NAMES), st.sampled_from(HOSTILE[:-1]))
BITS = ("Bonjour ", "@", " a écrit :\n", "\nCordialement,\n", "[quote=", "]", N, C, " et ", ", ", "chez ", " ")
PARTS = st.lists(st.one_of(LETTERS, st.sampled_from(NAMES), st.sampled_from(BITS)), max_size=8)
PARTIES = st.sampled_from([[], [0], [0, 1], [3]])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PARTS.map("".join), min_size=1, max_size=6), st.lists(CALLED, min_size=1, max_size=4), PARTIES, PARTIES)
@example(["Bonjour Rose Martin, Pierre Rose42"], ["Rose", "Martin", "Pierre", "Rose42"], [], [0, 1])
@example([f"Bonjour {N} Rose"], ["membre supprimé", "Rose", "membre"], [], [0])
def test_redacting_twice_is_redacting_once(some, called, own, near):
    kinds = ("member_name", "first_name", "identifier", "email")
    who = people([(n, kind, f"{name}@example.fr" if kind == "email" else name) for n, name in enumerate(called) for kind in kinds])
    given_texts = texts(*some, own=own, near=near)
    once = redact(given_texts, who, contacts=True)
    assert (once["text"] != given_texts.join(once, on="row", how="semi")["text"]).all()
    again = once.join(given_texts.drop("text"), on="row").select(list(TEXTS))
    assert redact(again, who, contacts=True).is_empty()


@settings(max_examples=20, deadline=None)
@given(st.lists(LETTERS, min_size=1, max_size=8))
def test_a_text_without_a_candidate_is_never_returned(some):
    who = people([
        (1, "member_name", "Zwxq"), (1, "first_name", "Kk"), (1, "email", "zq@example.com"), (1, "phone", "+33 6 39 98 99 99"),
        (1, "identifier", "wq77"),
    ])
    assert redact(texts(*some, own=[1]), who, contacts=True).is_empty()
