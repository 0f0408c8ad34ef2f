"""Whether a word that is written like a name is the member or a word: Rose or the rose, Pierre or the stone (C-2.6).

`LEVELS` says how much a name must be helped by what stands around it; `is_the_member` looks at that. The text around is read without accents,
with plain apostrophes and spaces (`around`), so the patterns are written so, too. Every pattern ends, or begins, where the name does.
Nothing here knows a member.
"""

from __future__ import annotations

import polars as pl

from pipelines.retention.ordinary_words import CAPITALISED, COMMON_WORDS, NAME_WORDS, STARTERS

WINDOW = 120  # characters before and after that are read
DISTINCT, PAIR, ORDINARY, WORD, BARE = range(5)
LEVELS = {
    DISTINCT: "a name that is no word: everywhere",
    PAIR: "several words that are names and words, such as Blanche Rose: everywhere with capital letters",
    ORDINARY: "one word of letters: where it is addressed, quoted, signed, or with a capital letter in a text that has to do with the member",
    WORD: "a word of every text or a measure, such as merci or 10h30: as @mention and in quote headers",
    BARE: "an article, one letter, a number: as @mention and in [quote=…]",
}

_OPEN = r"[*_\"“”„«'\[(<~]{0,3} ?"
_CLOSE = r" ?[*_\"“”»'\])>~]{0,3}"
_LINE = r"(?:^|\n)[\s>|*_\"“«\[\](~•#–—-]*"  # from the beginning of a line to the name
_SMILEY = r"(?:[^\p{L}\p{N}\n]*(?:[:;=8xX][-o^']?[dDpPoOsSxX]\b|\b[xX]{2,}\b|\bxD\b|:[a-z_]+:|</?[a-z][^>\n]{0,20}>|(?i:\bbis(?:es|ous)\b)|<3))?"
_TEXT_ENDS = rf"^{_SMILEY}[^\p{{L}}\p{{N}}]*$"
_LINE_ENDS = rf"^{_SMILEY}[^\p{{L}}\p{{N}}\n]*(?:$|\n)"
_AFTERWORD = (rf"(?i)^{_SMILEY}[^\p{{L}}\p{{N}}\n]*\n\s*[(\[*_>-]*\s*(?:p\.? ?s\b|n\.? ?b\b|post-?scriptum|edit\b|"
              r"envoye de|sent from|--|tel\b|e?-?mail\b|portable|"
              rf"coordonnees|membre supprime"
              r"|\(?0\d|\+\d|\S+@\S)")
_QUIET = rf"^{_CLOSE}\s*(?:$|[\n,:;.!?()\[\]»\"|>#-]|\d|(?i:le|hier|on|at|du|aujourd'hui|il y a)\b)"  # nothing goes on in the sentence

_GREETING = ("bonjour|bonsoir|salut|coucou|kikou|hello|hey|hi|hep|ohe|bjr|slt|bsr|cc|yo|he|eh|bienvenue|bravo|felicitations|chapeau|(?:grand |"
             "mille )?mercis?|mci|thanks|thx|thank you|joyeux anniversaire|bon anniversaire|bonne fete|bonne annee|bonne (?:soiree|journee|nuit|"
             "chance|continuation)|bon courage|a bientot|au revoir|ciao|adieu|a plus|a ?\\+|a demain|bises?|bisous|biz|enchantee?|desolee?|pardon|"
             "excuse[- ]moi|excusez[- ]moi|dis[- ]moi|dites[- ]moi")
_STRENGTH = (r"(?:(?:beaucoup|bien|encore|infiniment|mille fois|d'avance|a toi|a vous|vraiment|quand meme|aussi|donc|fort|tout le monde|les amis|"
             r"mon|ma|tres|chere?|petite?|madame|mademoiselle|monsieur|mme|mlle|mr?\.?)[ \t]*,?[ \t]+){0,3}")
_GREETED = rf"(?i:(?:^|[^\p{{L}}-])(?:{_GREETING}),?[ \t]+{_STRENGTH})"
_PERSON = r"(?:\p{Lu}[\p{L}-]+|\[membre supprime\])"
_ADDRESSES = (r"(?:j'|t'|c'|m'|je|tu|vous|nous|on|il|elle|merci|est|ca|comment|pour|et toi|et vous|avez|as|peux|pouvez|auriez|aurais|avais|"
              r"pourrais|pourriez|serait|quel|quelle|desole|super|voici|oui|non|ok|bienvenue|toujours|content|contente|ravie?|bisous?|bises?|"
              r"et merci|et bonne|et bienvenue|de (?:ta|ton|tes|votre|vos)|d'avoir|de m'|d'etre)")
_SPOKEN_TO = rf"(?i)^{_CLOSE}\s*(?:$|[,;:!?.\n)\[]|-\s|[^\p{{L}}\p{{N}}\s]|{_ADDRESSES}(?:\b|$))"
_YOU = (r"(?:tu\b|t'|toi\b|vous\b|te\b|t[ao]n?\b|tes\b|votre\b|vos\b|\p{L}+-(?:tu|vous|moi|toi)\b|peux\b|pouvez\b|pourrais\b|pourriez\b|avez\b|"
        r"sais\b|savez\b|dis\b|dites\b|merci\b|si tu\b|si vous\b|quand tu\b|je te\b|je t'|je vous\b|j'ai (?:vu|lu|recu) (?:ton|ta|tes|votre|"
        r"vos)\b|bravo\b|regarde\b|bonjour\b|desolee?\b)")
_CLOSING = ("(?:tres |bien )?cordialement|cdt|cdlt|cldt|bien a (?:vous|toi)|(?:tres )?amicalement|amities|sincerement|respectueusement|tendrement|"
            "affectueusement|(?:meilleures |sinceres )?salutations(?: distinguees| sinceres)?|(?:grosses |gros )?(?:bises?|bisous|biz|bizz)|"
            "(?:a )?(?:tres )?(?:bientot|plus|demain)|a\\+|mercis?(?: d'avance| beaucoup| bien| encore| a (?:tous|toutes|vous|toi))*|(?:bonne|"
            "belle|excellente) (?:fin de )?(?:journee|soiree|semaine|continuation|reception|chance|nuit|annee)|bon(?: |-)?week-?end|bon dimanche|"
            "bonnes (?:fetes|vacances)|au plaisir|dans l'attente[^\\n]{0,60}|au revoir|regards|signee?|signature|votre devouee?|la team|ciao|tchao")
_CLOSED = rf"(?i:(?:^|[^\p{{L}}])(?:{_CLOSING})(?: (?:a (?:tous|toutes|vous|toi)|et [^\n]{{1,25}}))?)"
_WROTE = (rf"(?i)^{_CLOSE}\s*(?:<[^>\n]{{0,80}}>|\([^)\n]{{0,60}}\))?\s*,?\s*(?:(?:le|on|hier|aujourd'hui|il y a|a|at)\s[^\n:]{{0,60}}?)?,?\s*")
_MARKED = r"\s*(?:[:«\"“>\[\n]|$)"
_DATED = (r"\s+(?:le \d|hier|aujourd'hui|a \d|il y a|ce (?:matin|soir)|(?:lun|mar|mercre|jeu|vendre|same)di|dimanche|on \w|at \d)"
          r"[^\n:]{0,50}?\s*(?::|\n|$)")
_HAS_WRITTEN = (rf"{_WROTE}(?:(?:a|avait|as) (?:ecrit|repondu|poste|publie|commente)|wrote|writes|posted)(?:{_MARKED}|{_DATED})|{_WROTE}(?:(?:a|"
                rf"avait|as) (?:dit|demande|note|signale|precise|indique|propose|cite|declare)|"
                rf"said|dit|ecrit|repond|disait|ecrivait)(?:{_MARKED}|{_DATED})")
_DETERMINER = (r"(?i)(?:^|[^\p{L}])(?:la|le|les|un|une|des|du|ma|mon|sa|son|cette|ce|cet|ces|nos|vos|leurs?|notre|votre|ta|ton|tes|ses|mes|aux|au|"
               r"en|chaque|toute?|tous|aucune?|quelle?|quels|deux|trois|[ljscmtn]') ?$")
_PLACE = (r"(?i)(?:^|[^\p{L}])(?:rue|avenue|av\.?|bd|boulevard|place|allee|impasse|chemin|quai|route|square|cours|passage|sentier|faubourg|pont|"
          r"lycee|college|ecole|hopital|clinique|eglise|chapelle|basilique|gare|metro|station|ile|lac|mont|port|ville|commune|village|camping|"
          r"hotel|restaurant|cafe|bar|marque|maison|chateau|domaine|musee|theatre|editions?|fete|ete|canal|foire|marche|saint|sainte|st|ste|san|"
          r"santa|don|dom|pere|frere|soeur|abbe|pape|roi|reine|prince|princesse|docteur|dr|professeur|maitre|general|capitaine|colonel|couleur|"
          r"coloris|teinte|nuance|parfum|modele|reference|ref|gamme|collection|serie|livre|film|roman|chanson|album|disque|marques|prenom|nomme|"
          r"nommee|dame|notre-dame|chat|chien|bocal|bocaux|modeles)\s+(?:de\s+(?:la\s+)?|du\s+|d'|des\s+|le\s+|la\s+)?$")


# combining and unseen marks, and the codes by which a forum makes letters bold
_UNREAD = (r"\p{M}|[\r\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]|"
           r"(?i:\[/?(?:b|i|u|s|color|size|font|center|url|user|mention)(?:=[^\]\n]{0,60})?\])"
           r"|(?i:</?(?:b|i|u|em|strong|span|font|a|cite)(?: [^>\n]{0,80})?>)")


def around(text: pl.Expr) -> pl.Expr:
    """A text as the patterns read it: letters keep their case, accents go, spaces, apostrophes and hyphens become plain."""
    plain = text.str.normalize("NFKD").str.replace_all(r"(?i)<br ?/?>", "\n").str.replace_all(r"(?i)\[(?:mention|user)(?:=\d+)?\]", "@")
    return plain.str.replace_all(_UNREAD, "").str.replace_many(
        {"’": "'", "\u02bc": "'", "\u2018": "'", "\u2010": "-", "\u2011": "-",
         "œ": "oe", "Œ": "Oe"})


def _before(pattern: str) -> pl.Expr:
    return pl.col("before").str.contains(pattern)


def _after(pattern: str) -> pl.Expr:
    return pl.col("after").str.contains(pattern)


_CAPITAL = pl.col("spelled").str.contains(r"^\p{Lu}")
_SHOUTED = pl.col("spelled").str.contains(r"^\p{Lu}[^\p{Ll}]+$")
_PARTY = pl.col("own") | pl.col("near")
_LINE_BEGINS = _before(_LINE + "$")
_SENTENCE_BEGINS = _before(rf"{_LINE}$|[.!?]\s+[\"«(*_-]*\s*$|:\s*$")
_PATH = r"(?i)/(?:u|users?|membres?|members?|profils?|utilisateurs?|vendeurs?)/$"
# a part of another word, of an address or of a longer name such as Rose-Marie
GLUED = _before(r"[\p{L}\p{N}](?:[@._/+%]|-)$|\bwww\.$|\bO'$") & ~_before(_PATH) | _after(r"^[-@_/=][\p{L}\p{N}]|^\.\p{Ll}{2}")
_NEXT, _LAST = pl.col("after").str.extract(r"^ (\p{Lu}[\p{L}'-]*)"), pl.col("before").str.extract(r"(\p{Lu}[\p{L}'.-]*) $")


def _is_capital_word(word: pl.Expr) -> pl.Expr:
    return (word.is_not_null() & ~word.str.to_lowercase().str.extract(r"^(\p{L}+)").is_in(list(STARTERS))
            & ~(_SHOUTED & word.str.contains(r"^[\p{Lu}'.-]{2,}$"))).fill_null(False)


_GOES_ON, _CAME_BEFORE = _is_capital_word(_NEXT), _is_capital_word(_LAST)


def _mention() -> pl.Expr:
    no_address = ~_after(r"(?i)^ ?(?:\.|\(?\[?point\]?\)?|dot) ?\p{L}{2,}")
    return (_before(rf"(?:^|[^\p{{L}}\p{{N}}_.%+@-])@[«\"“]?$|{_PATH}")
            | _before(r"(?:^|[^\p{L}\p{N}_.%+@-])@ $") & (pl.col("level") <= ORDINARY)) & no_address


def _forum_code() -> pl.Expr:
    code = r"(?i)\[quote(?: (?:author|name|user|pseudo|par|by))?\s*=\s*[\"'«“]? ?@?$|(?:cite|author|data-[a-z-]+)\s*=\s*[\"']$"
    return _before(code) & _after(r"(?i)^[\"'»”]?\s*(?:[\];,|:>]|(?:post|time|date|id|link|topic|url|msg|p)\w*\s*=|$)|^[\"']")


def _quote_header() -> pl.Expr:
    begins = _LINE_BEGINS | _before(r"[.!?:;,)\]|] ?$|\d[hH:]?\d*\s$") | _before(
        r"(?i)(?:^|[^\p{L}])(?:que|comme|quand|et|puisque|car|mais|puis|alors|membre|si)\s$|qu'$")
    written = _after(_HAS_WRITTEN) & ~_before(_DETERMINER) & ~_CAME_BEFORE & (begins | _CAPITAL)
    lower_is_quiet = _CAPITAL | _after(_QUIET)
    by = _before(r"(?i)(?:(?:^|[^\p{L}])(?:citations?\s*(?:d[eu] ?:? (?:la )?(?:membre )?|d'|: ?|\()|quotes? from:? |"
                 r"(?:poste|ecrit|publie|redige|envoye|cite|posted|"
                 r"written|quoted)e?s?\s+(?:le [^\n]{1,40}?\s|initialement\s|originally\s)?(?:par|by)\s*:?\s*|"
                 r"dixit\s+))(?:@ ?)?" + _OPEN + "$") & lower_is_quiet
    told = _before(r"(?i)(?:^|[^\p{L}])(?:comme|ainsi)(?: l[ea]| te l'a| l'(?:a|avait))? (?:dit|disait|ecrit|ecrivait|explique) $") & _CAPITAL
    as_told = _before(r"(?i)(?:^|[^\p{L}])comme $") & _after(r"(?i)^ (?:l')?(?:a|avait) (?:dit|ecrit|explique)\b") & (_CAPITAL | _LINE_BEGINS)
    reply = _before(r"(?i)(?:^|[^\p{L}])(?:(?:en )?reponse a|in reply to|replying to)\s*:?\s*(?:@ ?)?" + _OPEN + "$")
    message = _before(_LINE + r"(?i:(?:nouveau |dernier )?(?:message|reponse|post|commentaire|mp|mail)\s+(?:prive\s+)?(?:de |d'|from )"
                                r"\s*:?\s*)" + _OPEN + "$") & lower_is_quiet
    message |= _before(r"(?i)(?:^|[^\p{L}])(?:messages?|reponse|posts?|commentaires?|citations?)\s+(?:prive\s+)?(?:de |d')$") & _CAPITAL
    field = _before(rf"(?:{_LINE}|[-_]{{3,}}\s*|original\s+)(?i:de|from|auteur|autrice|author|par|by|expediteur|expeditrice|destinataire|pseudo|"
                    rf"membre|vendeur|vendeuse|"
                    r"acheteur|acheteuse|utilisateur|cc)\s*:\s*(?:@ ?)?" + _OPEN + "$") & (_CAPITAL | _after(_QUIET))
    to = _before(_LINE + r"(?i:a|to|pour)\s*:\s*" + _OPEN + "$") & _CAPITAL & _after(rf"^{_CLOSE}\s*(?:$|\n|<|\()")
    code = _before(r"(?i)\[quote\]\s*$") & _after(rf"(?i)^{_CLOSE}\s*(?:$|[\n:\[;(]|a ecrit|a dit|wrote|said|,? le \d)")
    dated = _LINE_BEGINS & _after(rf"(?i)^{_CLOSE}\s*,?\s*\(?(?:le \d|on \w+ \d|hier|aujourd'hui|il y a)[^\n]{{0,50}}?\s*(?:\n|$)")
    quoted = _before(r"(?:^|\n)\s*>[>\s]*$") & _after(rf"^{_CLOSE} ?: ?[^\s\d]") & (_PARTY | _CAPITAL)
    quoted |= _LINE_BEGINS & _CAPITAL & _after(r"^ ?: ?[«\"“]")
    return (written | as_told | dated | quoted | ((by | told | reply | message | field | to | code) & ~_CAME_AFTER_TITLE)) & ~_GOES_ON


_CAME_AFTER_TITLE = _before(_PLACE)


def _addressed() -> pl.Expr:
    spoken_to = _after(_SPOKEN_TO)
    greeted = _before(_GREETED + rf"(?:@ ?)?{_OPEN}$")
    after_comma = _before(rf",\s*{_OPEN}$")
    stopped = _after(r"^\s*(?:$|[!?]|\.(?:\s|$)|,\s*(?i:" + _YOU + "))")
    greeting = greeted & pl.when(after_comma).then(stopped).when(_CAPITAL).then(True).otherwise(spoken_to)
    dear = _before(r"(?i)(?:^|[\n.!?,;:]\s*|(?:^|[^\p{L}])(?:mon|ma|bonjour|bonsoir|salut|merci) )\s*(?:tres )?chere?s?\s+" + _OPEN + "$")
    dear &= _CAPITAL | _after(r"^\s*(?:$|[,!\n])")
    greeting |= _before(rf"(?i:(?:^|[^\p{{L}}-])(?:{_GREETING}))[,!]?\n$") & _after(r"^\s*[,!]\s*(?:\n|$)")
    with_another = _before(_GREETED + rf"{_PERSON}(?:, {_PERSON})?\s*(?:et|&|,)\s*$") & (_CAPITAL | _after(r"^\s*(?:$|[,!\n])"))
    to = _before(r"(?i)(?:^|[^\p{L}])(?:mercis?|bravo|bienvenue|felicitations|bonjour|coucou|bises?|bisous|salut|bonne fete|anniversaire)\s+"
                 + _STRENGTH + "a $") & _CAPITAL
    agreed = _before(r"(?i)(?:^|[\n.!?;,]\s*)(?:oui|non|ok|dis|dites|tiens|voila|parfait|super|d'accord|bien sur|exact|ah|oh|eh bien|si)[ ,]+$")
    agreed &= _CAPITAL & _after(r"^\s*[,!?]")
    called = _before(r"[\p{L}\p{N})\"»],\s$") & ~_before(r"\p{Lu}[\p{L}-]+,\s$") & (_CAPITAL | _PARTY & _after(r"^\s*!")) & _after(r"^\s*[!?]")
    you = _SENTENCE_BEGINS & (_after(rf"(?i)^{_CLOSE}\s*,\s*{_YOU}") | _CAPITAL
                              & _after(r"(?i)^\s*[!?:]{0,3}\s*(?:tu|vous|as-tu|peux-tu|pouvez-vous|avez-vous|es-tu)\b"))
    return (greeting | dear | you | agreed | with_another | (to | called) & ~_ELSEWHERE) & ~_GOES_ON


_ELSEWHERE = pl.col("key").is_in(list(CAPITALISED))


def _signed() -> pl.Expr:
    text_ends, afterword = _after(_TEXT_ENDS), _after(_AFTERWORD)
    ends = text_ends | afterword
    closed = _before(_CLOSED + rf"[^\p{{L}}\p{{N}}@]*{_OPEN}$") & (_after(_LINE_ENDS) | afterword | _CAPITAL & (
        _after(r"^\s*(?:,|\(|de |\p{Lu}\.)[^\n]{0,40}(?:$|\n)") | _after(rf"^ (?:et|&) {_PERSON}[^\p{{L}}\p{{N}}]*(?:$|\n)")))
    both = _before(_CLOSED + rf"[^\p{{L}}\p{{N}}]*{_PERSON} (?:et|&|,) $") & _CAPITAL & _after(_LINE_ENDS)
    listed = _before(r"(?:^|\n)[ \t]*(?:[-–—*•]|\d+[.)])[ \t]*[^\n]*\n+[ \t]*[-–—*•]?[ \t]*$|:[ \t]*\n[ \t]*[-–—*•]?[ \t]*$")
    listed |= _before(r"(?:^|\n)[ \t]*\p{L}+[ \t]*\n[ \t]*\p{L}+[ \t]*\n[ \t]*$")
    listed |= _before(r"(?:^|\n)[ \t]*\p{L}+[ \t]*\n[ \t]*$") & ~(pl.col("own") & _CAPITAL)
    told = ends | _CAPITAL & (
        _after(rf"^ ?\(\p{{Lu}}[^)\n\d]{{1,30}}\)\W*$|^ (?:et|&) {_PERSON}\W*$") | _after(r"(?i)^\W*(?:tel\W*)?\(?[0+]\d[\d .()-]{7,}\W*$"))
    line = _before(rf"\n[ \t]*[-–—~*_=/]*[ \t]*{_OPEN}$") & told & ~listed
    quoted = _before(rf"\n[ \t]*>[> \t]*[-–—~]*\s*{_OPEN}$") & _after(r"^[^\p{L}\p{N}\n]*(?:$|\n\s*\n|\n[^>\n])")
    dash = _before(rf"(?:[.!?)»\"*]|[^\p{{L}}\p{{N}}\s,;:/-])\s*[-–—~]{{1,3}}\s*{_OPEN}$") & ends & ~_before(r"[-–—]\s*\S+\s*[-–—]\s*$")
    dash |= _before(rf"\s[-–—~]{{1,3}} ?{_OPEN}$") & ends & _PARTY & _CAPITAL
    written = _before(rf"(?i)(?:^|[^\p{{L}}])(?:signee?|signature)\s*:\s*{_OPEN}$") & ~_GOES_ON
    written |= _before(rf"(?i)(?:^|[^\p{{L}}])signee?\s+{_OPEN}$") & _after(r"^\s*(?:$|[,.!\n])")
    alone = _before(r"^[^\p{L}\p{N}]*$") & _after(r"^[^\p{L}\p{N}!?]*$") & pl.col("own") & _CAPITAL
    at_last = _before(r"[.!)]\s+$") & _after(r"^[^\p{L}\p{N}!?]*$") & pl.col("own") & _CAPITAL
    return closed | both | line | quoted | dash | written | alone | at_last


def _named() -> pl.Expr:
    """In a text that has to do with the member: with a capital letter where no word has one."""
    inside = _before(r"(?:[\p{Ll},;)\]] |(?i:\b(?:d|qu|jusqu)')|\()$") & ~_before(_DETERMINER) & ~_before(r"\p{Lu}[\p{L}-]+,\s$")
    after_starter = _LAST.is_not_null() & ~_CAME_BEFORE & ~_SHOUTED & ~_before(_DETERMINER)
    title = _before(r"(?i)(?:^|[^\p{L}])(?:m|mr|mme|mlle|monsieur|madame|mademoiselle)\.?\s+$")
    acts = _SENTENCE_BEGINS & pl.col("tail").str.contains(r"^ (?:[mtn]['’]|(?:vous|nous|lui|ne m['’]?) ?)?(?:a|avait) \p{L}")
    quiet = (inside | after_starter | acts) & ~_CAME_BEFORE & ~_before(_PLACE) & ~(_SHOUTED & _before(r"\p{Lu}{2,}\W*$")) & ~_ELSEWHERE
    chez = _before(r"(?i)(?:^|[^\p{L}])chez $") & ~_ELSEWHERE
    myself = pl.col("own") & _before(r"(?i)(?:m'appelle|mon (?:(?:pre)?nom|pseudo)(?: est| :)?|moi,? c'est|prenom :|pseudo :) ?$")
    return (_CAPITAL & (quiet | title) | chez | myself) & ~_GOES_ON & _PARTY


_WORDS = [*NAME_WORDS, *COMMON_WORDS]


def is_the_member() -> pl.Expr:
    """Over key, level, spelled, before, after (both of `around`), own, near: whether this is the member's name."""
    whole = ~GLUED
    everywhere = (pl.col("level") == DISTINCT) & (whole | ~pl.col("letters"))
    no_word = pl.col("key").str.contains(r"^\p{L}+$") & ~pl.col("key").is_in(_WORDS)
    theirs = pl.col("own") & (pl.col("level") == ORDINARY) & no_word
    pair = (pl.col("level") == PAIR) & pl.col("spelled").str.contains(r"^\p{Lu}.*[\s,'’\u2010\u2011-]\p{Lu}[\p{L}\p{M}]*$") & ~_SHOUTED
    level = pl.col("level")
    return everywhere | whole & (
        theirs | pair | _mention() | _forum_code() | (level <= WORD) & _quote_header() | (level <= ORDINARY) & (_addressed() | _signed() | _named()))
