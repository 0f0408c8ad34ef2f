"""Words by which names are told from text, as they are compared: in small letters, without accents. Each list errs to the side of its comment."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# articles, pronouns, what joins words: no name alone, and none by which another is told apart
SMALL_WORDS = _words("""
    a ai ainsi alors and as au aucun aussi autre aux avec avoir c ca car ce ceci cela celle celui ces cet cette chaque chez comme d dans de des
    donc du elle elles en encore est et eu eux fait il ils in j je l la le les leur leurs lui m ma mais me meme mes moi mon n ne ni non nos
    notre nous of on ont or ou oui par pas peu plus pour puis qu quand que qui quoi s sa sans se ses si son sont sous sur t ta te tes the to toi
    ton tous tout toute toutes tres tu un une vers vos votre vous y
""")
# how texts begin and end, and what every offer says: somebody called so is mentioned and quoted, but never addressed or signed
COMMON_WORDS = _words("""
    amicalement amitie bien bientot bienvenue bise bises bisou bisous bjr bonjour bonne bonsoir bravo bsr cdt cordialement coucou demain envoi
    euro euros felicitations hello hier jour journee jours livre merci mercis neuf neuve offre ok photo photos prix produit salut salutations
    semaine slt soiree stp super svp taille vends vendu vente
""")
# names that are words as well: two of them are a name only with capital letters ("une rose blanche" is none)
NAME_WORDS = _words("""
    aime ange aurore beau bel belle blanc blanche bois bon bonnet boulanger brun camille cerise chateau chevalier clair claire clement constance
    constant cordier court dore douce douceur ecru fleur fontaine fort fournier franc franche garcon garnier gentil grand grande gros hiver iris
    jade jardin jaune joli jolie jour juste lacroix laurent leblanc leger lenoir lilas lin long loup lys marchand marguerite marin marine martin
    mercier meunier moreau myrtille nature neuf noel noir noire olive olivier or parfait perle perrier petit petite pierre pomme potier prudence
    prune reine rive riviere rocher roi rond rose rouge rousse roux royal ruby saint sauvage serein soleil vert verte victoire vieux violet
    violette
    basque bermuda bob charlotte derby jean jeans jersey kaki madeleine marcel oxford polo richelieu salome
""")
# with a capital letter behind a name they begin another sentence, before it they began this one; others make a longer name
STARTERS = _words("""
    a ah ainsi alors apres as aujourd aurais auriez avec avez beau bien bienvenue bon bonjour bonne bonsoir bravo c ca car cc ce cela cher chere
    chez citation combien comme comment cordialement d dans date de demain des desole desolee dis donc du ecoute eh elle elles en enchante
    encore envoye es est et etes eux felicitations hier ici il ils j je joli jolie l la le les lui m ma mais merci mes moi mon n ne non nos
    notre nous objet oh ok on ou oui p par parfait peux pour pourquoi pourrais pourriez pouvez ps puis qu quand que quel quelle qui quote ravi
    ravie re regarde s salut sans selon sent serait si stp subject suis suite sujet super sur svp t ta tes to toi ton toujours tous tout toute
    tres tu un une voici voila vos votre vous y
""")
# words that have a capital letter in any text: feasts, and towns and countries that are first names
CAPITALISED = _words("""
    albi angers ascension assomption carmen carnaval chine dieu europe florence france jean laval lorient lourdes lyon marseille nancy nantes
    nice noel orange paques paris rennes toussaint valence victoria vienne
""")
