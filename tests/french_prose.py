"""Ordinary French for tests of names: more than ten thousand words in which rose, pierre, martin and olive are words, places, other people.

Sentences are written for this file; `texts` fills their blanks and puts them together. No sentence speaks to or of the member.
"""

from __future__ import annotations

from itertools import cycle, islice

MEMBERS = (
    "Rose", "Pierre", "Martin", "Olive", "Prune", "Fleur", "Claire", "Blanche", "Violette", "Reine", "Ange", "Loup", "Noël", "Juste", "Parfait",
    "Constant", "Aurore", "Marguerite", "Clément", "Aimé", "Jade", "Camille", "Petit", "Leblanc", "Jean-Baptiste", "De La Fontaine", "L'Hostis",
)

GARDEN = (
    "Le rosier grimpant donne une rose pâle dès le mois de mai.", "Une rose ancienne sent bien plus fort qu'une rose de fleuriste.",
    "Rose trémière, lavande et sauge poussent sans eau contre un mur de pierre.", "La marguerite se ressème seule ; la violette aussi, à l'ombre.",
    "Rose ou blanche, la pivoine demande un sol profond.",
    "On taille le prunier après la récolte, jamais en hiver : la prune vient sur le vieux bois.", "Fleur après fleur, le massif se remplit.",
    "Je donne des boutures de rose, de menthe et d'olivier.", "Pierre ponce, sable, terreau : tout est dans le sac.",
    "L'allée est en pierre claire, bordée de buis.", "Une haie de rosiers roses et un loup en bois au fond du jardin.",
    "Les fleurs blanches d'abord, les fleurs violettes ensuite.", "La rose de Noël fleurit sous la neige, en plein janvier.",
    "Prune d'ente, mirabelle et quetsche : trois arbres à déterrer soi-même.", "Reine des prés séchée, en sachet de 50 g.",
    "Olive verte ou olive noire, l'arbre est le même.", "Violette odorante en godet, 2 € pièce.",
    "Claire le matin, l'eau du bassin devient trouble le soir.",
)
KITCHEN = (
    "Huile d'olive de Provence, bidon de 5 litres, 38 €.", "Pour la tapenade : 200 g d'olives, une gousse d'ail, le jus d'un citron.",
    "Confiture de prune sans sucre ajouté, bocaux Le Parfait fournis.", "Olive, câpre, anchois : voilà une pizza juste comme il faut.",
    "Un rosé bien frais, une salade, de la fleur de sel.", "Four à pierre : comptez une heure pour que la pierre chauffe.",
    "Prune à l'eau-de-vie, recette de ma grand-mère.", "Le riz doit rester blanc, la sauce blanche doit être claire.",
    "Eau de rose, eau de fleur d'oranger : 4 € le flacon.", "Juste un filet d'huile, pas plus.", "Parfait glacé au café, pour huit personnes.",
    "Le loup grillé au fenouil vaut bien un bar.", "Un gâteau rose, un gâteau blanc, et des bougies.", "Pruneau ou prune, la tarte est bonne.",
    "On met la pâte sur la pierre farinée.", "Ail rose de Lautrec en tresse, 9 € le kilo.",
)
GOODS = (
    "Robe rose, taille 38, jamais portée.", "Couleur : Rose", "Coloris : rose, olive, prune ou blanche.",
    "Manteau prune, col en fausse fourrure, 25 €.", "Veste vert olive, deux poches.", "T-shirt Petit Bateau, rose, 6 ans",
    "Bague en or rose et pierre de lune.", "Collier en pierre dure, fermoir neuf.",
    "Table en pierre reconstituée, très lourde, à venir chercher à deux.", "Vends vélo rose pour fille de 6 ans",
    "Lot de livres : Pierre Lapin, Martine, Le Loup et les sept chevreaux.", "Rose Fuchsia, ref. 204, pot entamé",
    "Marque : Claire Fontaine, cahiers neufs", "Meuble en bois clair, plateau blanc, pieds de pierre.", "Sac Blanche Porte, parfait état",
    "Poupée Reine des neiges avec sa robe", "Jouet : loup en peluche, 40 cm.", "Pull jacquard rose\nTaille : M\nÉtat : parfait",
    "Coloris disponibles :\n- bleu\n- vert olive\n- rose", "Tailles et couleurs :\nbleu\nrose", "Bleu\nBlanc\nRose",
    "VENDS ROBE ROSE ET SAC OLIVE, 15 € LE LOT", "Vélo rose - casque - 40 €", "Chemise - lin - rose", "Jean brut, pull rose, chaussures 39.",
    "Prix juste, état juste correct.", "C'est moins cher rose que noir, allez savoir.", "Boucles d'oreilles jade et argent.",
    "Livre de Pierre Loti, édition de 1921", "Disque de Claire Diterzi, comme neuf.", "DVD : La Vie en rose, L'Âge de glace.",
    "Bonnet rose, écharpe olive, gants : 8 €.", "Le rose va bien avec l'olive, le prune avec le blanc.", "Deux paires : une blanche, une rose.",
    "Parfait pour un premier vélo.", "Parfait, rien à dire.", "Parfait !", "Olive, taupe ou kaki ? Les trois sont proches.",
    "Rose bonbon, rose thé, rose poudré : j'ai de tout.",
)
PLACES = (
    "J'habite rue Saint-Martin, près de l'église.", "Remise en main propre place Pierre-Sémard ou rue Martin Luther King.",
    "Le canal Saint-Martin est vidé tous les dix ans.", "Rendez-vous rue de la Reine-Blanche, devant le square.",
    "Le lycée Pierre-et-Marie-Curie ferme à 18 h.", "Port-la-Nouvelle, La Rose, Saint-Pierre : je livre partout.",
    "Quartier de La Rose, métro La Rose, à Marseille.", "Visible à Saint-Pierre-de-Chandieu ou à Bourg-Saint-Maurice.",
    "La place de la Fontaine est piétonne.", "Au 12 rue Rose Dieng, deuxième étage.", "L'hôpital Claire Démar n'a pas de parking.",
    "La foire de la Saint-Martin a lieu en novembre.", "Rue Olivier-de-Serres, au fond de la cour.", "Le pont de pierre est fermé aux camions.",
    "De la fontaine à l'église il y a cent mètres.", "Col de la Pierre Saint-Martin, neige ce matin.",
    "Boulevard Blanche, c'est à deux pas de la place Blanche.", "Village de Loup-sur-Semouse, pas facile d'accès.",
)
OTHERS = (
    "Pierre Curie et Marie Curie ont partagé le prix avec Henri Becquerel.", "Martin Luther King parlait sans notes.",
    "Rose-Marie n'est pas venue, Pierre-Yves non plus.", "J'ai lu tout Pierre Lemaitre et un peu de Martin Winckler.",
    "Jean-Pierre Martin, mon voisin, répare les vélos.", "Un album de Claire Bretécher, deux de Blanche-Neige.", "La photo est de Pierre Verger.",
    "Saint Martin partagea son manteau avec un pauvre.", "Docteur Martin, dentiste, est en congé.", "Le roman de Rose Tremain m'a plu.",
    "Anne-Claire et Marie-Ange tiennent le stand.", "Jean-Martin Charcot enseignait le mardi.", "La reine Blanche de Castille aimait les livres.",
    "Jean de La Fontaine a tout dit sur le loup et l'agneau.", "Charles-Ange Laisant écrivait pour les enfants.",
    "Le nom de la rose, d'Umberto Eco, en poche.", "Marguerite Yourcenar et Marguerite Duras, deux cartons.",
    "Camille Claudel, Camille Saint-Saëns : deux affiches.",
)
SAYINGS = (
    "Pierre qui roule n'amasse pas mousse.", "Il n'y a pas de rose sans épines.", "Quand on parle du loup, on en voit la queue.",
    "Faire d'une pierre deux coups, c'est mon rêve.", "L'ange passe, personne ne parle.", "Jeter la pierre est facile.",
    "Ça ne compte pas pour des prunes.", "Tout n'est pas rose, loin de là.", "À l'eau de rose, cette série.", "L'homme est un loup pour l'homme.",
    "Noël au balcon, Pâques au tison.", "Avec le froid, à la Saint-Martin, l'hiver est en chemin.", "Fleur bleue, moi ? Jamais.",
    "Envoyer sur les roses, voilà ce qu'il fait.", "Il fait nuit claire et froid de loup.", "Dur comme la pierre, doux comme la rose.",
    "Dans la vie, rien n'est parfait.", "Juste avant l'aurore, tout est calme.", "Le cygne est blanc, l'aurore est rose.",
    "Le beau est constant, le juste est rare.",
)
BIRDS = (
    "Un martin-pêcheur est passé au-dessus de l'étang.", "Le martin pêcheur niche dans la berge.",
    "Martin-pêcheur, flamant rose et héron sur la même photo !", "Le flamant rose est rose à cause des crevettes.",
    "Martin l'ours est un vieux jouet en mohair.", "Un petit oiseau, un petit nid, un petit œuf.", "Le loup de mer n'est pas un loup.",
    "Le perroquet olive parle, le rose non.",
)
FEASTS = (
    "Joyeux Noël à tous !", "Le colis arrivera avant Noël, c'est juste.", "Marché de Noël dimanche, stand 12.", "À Noël, tout part vite.",
    "Sapin de Noël artificiel, 180 cm.", "Depuis Noël je n'ai rien vendu.", "Noël approche : pensez aux jouets.",
    "Pour Noël ou un anniversaire, la boîte est neuve.",
)
TALK = (
    "Bonjour, une rose en soie est-elle encore disponible ?", "Bonjour à tous, je cherche une jupe rose.", "Bonsoir, la pierre est-elle vraie ?",
    "Merci, la robe rose est superbe.", "Salut, quelqu'un a déjà repeint un meuble en rose ?", "Merci beaucoup, tout est parfait.",
    "Merci, c'est juste ce qu'il fallait.", "Bonjour, rose ou bleu, peu importe.", "Oui, rose pâle.", "Non, plutôt olive que prune.",
    "Super, claire et complète comme réponse !", "La rose a pris l'eau, tant pis.", "Le loup a dit au petit cochon d'ouvrir, bien sûr.",
    "La pierre a été taillée à la main.", "En réponse à la question : oui, la pierre est froide.", "Un message de fleur en fleur, dit la carte.",
    "Ah, la vie en rose…", "Quelle couleur ? Rose.", "Tu préfères quoi : rose, olive ?", "C'est une réponse claire.",
    "À la rose ou à la violette, le savon sent bon.", "Écrit par un ange, dit la dédicace.", "Pas cher, rose et presque neuf.",
    "Sac pas cher rose avec bandoulière.", "De la rose au chardon, tout y passe.", "L'annonce est claire, le prix aussi.",
    "D'olive ou de noix, l'huile se garde au frais.", "Chez le fleuriste, la rose est à 3 €.", "Il est tout rose, ce bébé !",
    "Un ange, ce vendeur !", "Est-ce rose ?", "Quel beau rose !",
)
BLANKED = (
    "Je vends {thing} en {stuff}, {colour}, {price} €.", "{Thing} {colour} ou {other}, au choix, {price} € port compris.",
    "Pour {price} € : {thing} {colour}, un peu de {stuff}, livré mardi.", "Qui a vu {thing} {colour} avec motif {other} ?",
    "Le {colour} et le {other} vont ensemble, surtout en {stuff}.", "{Colour} d'un côté, {other} de l'autre : {thing} se porte deux fois.",
    "Elle est {colour}, elle est en {stuff}, et elle coûte {price} €.", "Après lavage, {thing} reste {colour} ; le {other} a un peu passé.",
    "J'hésite entre {colour} et {other} pour {thing}, à {price} € je prends les deux.",
    "Lot : {thing}, deux fleurs en {stuff}, une pierre {colour}, {price} €.",
)
THINGS = (
    "une robe", "une veste", "un sac", "un pull", "une lampe", "un vase", "une bague", "un tapis", "une poupée", "un foulard", "un cadre",
    "une nappe", "un bonnet",
)
COLOURS = ("rose", "olive", "prune", "blanche", "claire", "violette", "jade", "aurore", "rose pâle", "vert olive", "bois de rose")
STUFFS = ("pierre", "laine", "pierre de lave", "lin", "bois clair", "soie", "pierre bleue", "noyau d'olive", "fleur de coton")
HAND_WRITTEN = (*GARDEN, *KITCHEN, *GOODS, *PLACES, *OTHERS, *SAYINGS, *BIRDS, *FEASTS, *TALK)


def _filled(n: int) -> str:
    thing, colour, other, stuff = THINGS[n % 13], COLOURS[n % 11], COLOURS[(n * 3 + 1) % 11], STUFFS[n % 9]
    return BLANKED[n % len(BLANKED)].format(thing=thing, Thing=thing.capitalize(), colour=colour, Colour=colour.capitalize(), other=other,
                                            stuff=stuff, price=3 + n % 97)


def texts() -> list[str]:
    """Each sentence alone, then sentences after each other, on lines, and among others with their blanks filled."""
    hand, step = list(HAND_WRITTEN), len(HAND_WRITTEN)
    shuffled = list(islice(cycle(hand), 7, 7 + step * 61, 61))
    together = [(" " if pair[0][-1] in ".!?…" else "\n").join(pair) for pair in zip(hand, shuffled, strict=False)]
    on_lines = ["\n".join(three) + "\nBonne journée" for three in zip(shuffled, hand[5:], hand[9:], strict=False)]
    blanks = [f"{_filled(n)} {_filled(n * 7 + 2)}" for n in range(330)]
    return [*hand, *together, *on_lines, *blanks]


def words(of: list[str]) -> int:
    return sum(len(text.split()) for text in of)
