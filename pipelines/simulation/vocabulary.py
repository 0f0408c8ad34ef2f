"""The words of the simulated marketplace: names, places, goods, sentences, browsers.

Nothing here describes a real person: domains are example.*, addresses of clients come from the documentation ranges,
telephone numbers from the range that ARCEP keeps for fiction. First names that are also French words (Rose, Pierre,
Martin, Olive …) are there on purpose: whoever removes a name from a text must not remove the word with it.
"""

from urllib.parse import quote_plus

FEMALE_NAMES = (
    "Rose", "Olive", "Violette", "Marguerite", "Prune", "Fleur", "Aurore", "Claire", "Blanche", "Reine", "Camille", "Léa", "Manon", "Chloé",
    "Inès", "Éléonore", "Anaïs", "Zoé", "Hélène", "Françoise", "Maëlys", "Noémie", "Anne-Sophie", "Marie-Thérèse", "Sylvie", "Nathalie",
    "Isabelle", "Catherine", "Sandrine", "Émilie", "Fatoumata", "Aïcha", "Yasmine", "Linh", "Gaëlle", "Solène", "Bérénice", "Océane", "Lou",
    "Jade",
)
MALE_NAMES = (
    "Pierre", "Martin", "Noël", "Parfait", "Clément", "Aimé", "Loup", "Juste", "Ange", "Constant", "Lucas", "Hugo", "Théo", "Rémi", "Jérôme",
    "François", "Benoît", "Gaël", "Loïc", "Anaël", "Jean-Baptiste", "Jean-François", "Michel", "Philippe", "Alain", "Stéphane", "Frédéric",
    "Mamadou", "Karim", "Mehdi", "Minh", "Yann", "Erwan", "Côme", "Étienne", "Raphaël", "Nicolas", "Olivier", "Antoine", "Guillaume",
)
LAST_NAMES = (
    "Martin", "Bernard", "Petit", "Leblanc", "Roux", "Marchand", "Boulanger", "Lefèvre", "Garçon", "Lenoir", "L'Hostis", "Le Gall",
    "De La Fontaine", "N'Diaye", "Traoré", "Nguyen", "Benali", "Haddad", "Müller", "Schmitt", "Etcheverry", "Kerouédan", "Dubois", "Dupont",
    "Durand", "Moreau", "Simon", "Laurent", "Michel", "Garcia", "David", "Bertrand", "Fournier", "Girard", "Bonnet", "Rose", "Olivier", "Pierre",
    "Clément", "Noël", "Beauséjour", "Château", "Desprès", "Gérard", "Hébert", "Jourdain", "Lacroix", "Mallet", "Pasquier", "Quéré", "Rivière",
    "Sauvage", "Tessier",
)
STREETS = (
    "rue de la République", "avenue Jean-Jaurès", "rue Victor-Hugo", "place du Marché", "rue des Lilas", "chemin des Vignes",
    "boulevard Gambetta", "rue de l'Église", "allée des Tilleuls", "impasse du Moulin", "rue Pasteur", "quai des Brumes",
    "rue du Général-de-Gaulle", "rue Molière", "avenue de la Gare", "rue des Écoles", "route de Paris", "rue du Faubourg", "sentier des Prés",
    "rue Émile-Zola", "cours Mirabeau", "rue Saint-Martin", "rue aux Fleurs", "allée de Chenevière", "rue de Bretagne", "passage des Arts",
    "rue du Château", "rue Nationale",
)
COMMUNES = (  # (postcode, commune)
    ("75011", "Paris"), ("75018", "Paris"), ("13001", "Marseille"), ("13008", "Marseille"), ("69003", "Lyon"), ("69007", "Lyon"),
    ("31000", "Toulouse"), ("06000", "Nice"), ("44000", "Nantes"), ("34000", "Montpellier"), ("67000", "Strasbourg"), ("33000", "Bordeaux"),
    ("59000", "Lille"), ("35000", "Rennes"), ("51100", "Reims"), ("42000", "Saint-Étienne"), ("83000", "Toulon"), ("76600", "Le Havre"),
    ("38000", "Grenoble"), ("21000", "Dijon"), ("49000", "Angers"), ("30000", "Nîmes"), ("63000", "Clermont-Ferrand"), ("72000", "Le Mans"),
    ("29200", "Brest"), ("37000", "Tours"), ("80000", "Amiens"), ("87000", "Limoges"), ("74000", "Annecy"), ("66000", "Perpignan"),
    ("25000", "Besançon"), ("57000", "Metz"), ("45000", "Orléans"), ("68100", "Mulhouse"), ("76000", "Rouen"), ("14000", "Caen"),
    ("54000", "Nancy"), ("93200", "Saint-Denis"), ("93100", "Montreuil"), ("95100", "Argenteuil"), ("84000", "Avignon"), ("86000", "Poitiers"),
    ("64000", "Pau"), ("17000", "La Rochelle"), ("62100", "Calais"), ("06400", "Cannes"), ("68000", "Colmar"), ("29000", "Quimper"),
    ("26000", "Valence"), ("18000", "Bourges"), ("91360", "Villemoisson-sur-Orge"), ("97400", "Saint-Denis"), ("97200", "Fort-de-France"),
    ("20000", "Ajaccio"), ("20200", "Bastia"), ("19100", "Brive-la-Gaillarde"), ("65000", "Tarbes"), ("05000", "Gap"), ("48000", "Mende"),
    ("55500", "Ligny-en-Barrois"), ("02000", "Laon"),
)
MAIL_DOMAINS = ("example.fr", "example.fr", "example.fr", "example.com", "example.org", "courrier.example.net")

ITEM_CATEGORIES = ("mode_femme", "mode_homme", "enfants", "livres", "informatique", "telephones", "maison", "jardin", "sport", "musique")
# median price in euros per category, in the same order: a price is the median times one of the spread factors below
MEDIAN_PRICE_EUR = (12, 15, 9, 4, 120, 95, 28, 22, 40, 60)
PRICE_SPREAD = (0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 2.0, 2.6, 4.0)
OBJECTS = (
    "robe d'été", "manteau en laine", "poussette", "vélo de ville", "bibliothèque", "appareil photo", "tondeuse", "guitare", "canapé",
    "bottes en cuir", "téléphone", "console de jeux", "lampe Art déco", "tente 3 places", "sac à main", "chaise haute", "platine vinyle",
    "bouilloire", "skis", "jean brut",
)
SEARCHES = tuple(map(quote_plus, (*OBJECTS, "robe rose", "livre de Pierre Martin", "huile d'olive", "cadeau Noël", "lot vêtements bébé")))

ABOUTS = (
    "Maman de trois enfants, je vends ce qui ne sert plus.", "Passionné de vélo et de vinyles.", "Je réponds vite, envoi soigné !",
    "Ici {prenom}, chineuse du dimanche : vide-greniers, brocante, upcycling ♻️", "Réponse le soir ; remise en main propre à {ville} possible.",
    "Étudiant, petit budget.\nJe cherche surtout des livres.", "\"Rien ne se perd, tout se transforme\"",
    "Collectionneur de BD, de cartes et de timbres.",
)

FORUM_TOPICS = ("bienvenue", "achats", "ventes", "livraison", "paiement", "securite", "bons_plans", "entraide")
# Five sentences per topic, in the order of the topics. {objet}, {prenom}, {membre}, {ville}, {prix} are filled in.
FORUM_SENTENCES = (
    "Bonjour à tous, je suis {prenom}, de {ville} 👋", "Bienvenue {membre} ! Tu verras, on s'y fait vite.",
    "Nouvelle ici ; contente de vous lire, vraiment.", "Merci pour l'accueil,\nje commence par vendre : {objet}.",
    "Salut ! Qui d'autre est de {ville} ?", "Je cherche : {objet}, moins de {prix} €, état correct.",
    "{membre}, as-tu encore le modèle dont tu parlais ?", "Acheté hier : {objet}. Ravi, rien à dire.",
    "Trop cher à mon avis ; à {prix} €, on trouve mieux à {ville}.", "Le vendeur m'a dit \"comme neuf\", or il manque une pièce…",
    "Comment bien photographier : {objet} ?", "J'ai tout vendu en une semaine 🎉, merci {membre} !",
    "Faut-il baisser le prix, {prix} € c'est trop ?", "Mes conseils :\n- photos nettes\n- description honnête\n- réponse rapide",
    "Vente annulée deux fois, quelqu'un d'autre a ce souci ?", "Colis reçu en trois jours, bien emballé.", "Quel carton pour : {objet} ?",
    "Point relais fermé à {ville}, que faire ?", "Le suivi indique « livré », mais je n'ai rien reçu ; que faire ?",
    "Envoi groupé possible, demandez à {membre}.", "Le virement met-il toujours trois jours ?", "Paiement refusé, puis accepté ; bizarre.",
    "On m'a demandé {prix} € de plus, hors plateforme : non !", "Remboursée en une semaine, merci au service client.",
    "Peut-on payer en deux fois ?", "Attention, un acheteur insiste pour écrire hors du site.",
    "{membre} a raison : ne donnez jamais vos codes.", "J'ai signalé un compte qui vend des contrefaçons.", "Comment changer de mot de passe ?",
    "Message douteux reçu ce matin ; \"cliquez ici\", disait-il…", "Vide-grenier dimanche à {ville}, venez nombreux 🌷",
    "Trouvé : {objet} à {prix} € !", "Bon plan du jour ; merci {membre}.", "Échange : {objet} contre jouets, livres ou plantes.",
    "Qui a testé la réparation gratuite à {ville} ?", "Comment nettoyer : {objet} ?", "{membre}, ton astuce au savon noir fonctionne, bravo !",
    "Quelqu'un sait-il dater : {objet} ?", "Une couturière à {ville}, s'il vous plaît ?",
    "Rose pâle ou vert olive, pour repeindre un meuble en pierre et bois ?",
)
OFFER_WORDS = (
    "très bon état.", "porté deux fois, sans défaut.", "petite tache au dos (voir photo).", "à venir chercher ou envoi possible.",
    "prix ferme, merci.", "non-fumeur, pas d'animaux.",
)
BRANDS = ("Petit Bateau", "Saint James", "Decathlon", "Moulinex", "Peugeot", "Sézane", "Le Creuset", "sans marque")
COMMENTS = (
    "Toujours disponible ?", "Très joli, {membre} !", "Vous pouvez baisser un peu ?", "Envoi possible à {ville} ?",
    "La couleur : rose ou vert olive ?",
    "J'ai acheté : {objet} chez {membre}, parfait.",
)
MESSAGES = (
    "Bonjour {prenom}, c'est toujours disponible ?", "Oui {prenom}, je peux l'envoyer demain.", "Parfait, merci {prenom} !\nBonne journée",
    "{membre} m'a proposé moins cher, vous pouvez vous aligner ?", "Je passe par {ville} samedi, cela vous va ?", "D'accord pour {objet}.",
    "Cordialement,\n{prenom}", "Colis posté ce matin, suivi à venir.",
)
RATINGS = (
    "Envoi rapide, parfait.", "Conforme à la description, merci {membre} !", "Un peu lent mais bien emballé.", "Article différent de la photo…",
    "Je recommande.",
)
CONTACTS = (  # {email} is the author's own
    "Écrivez-moi : {email}", "Mon adresse : {email}, merci !", "Appelez-moi au {telephone}, le soir.", "Texto au {telephone} ; réponse rapide.",
)
CARD_SENTENCE = "Le paiement ne passe pas avec ma carte 4111 1111 1111 1111, une idée ?"  # the networks' test number, valid by Luhn

DESKTOP_AGENTS = (
    "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.152 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_10_3) AppleWebKit/600.6.3 (KHTML, like Gecko) Version/8.0.6 Safari/600.6.3",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:37.0) Gecko/20100101 Firefox/37.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36",
    "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.17",
)
MOBILE_AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 8_3 like Mac OS X) AppleWebKit/600.1.4 (KHTML, like Gecko) Version/8.0 Mobile/12F70 Safari/600.1.4",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPad; CPU OS 8_3 like Mac OS X) AppleWebKit/600.1.4 (KHTML, like Gecko) Version/8.0 Mobile/12F69 Safari/600.1.4",
    "Mozilla/5.0 (Linux; Android 5.0; SM-G900F Build/LRX21T) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.111 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 4.4.2; GT-I9505) AppleWebKit/537.36 (KHTML, like Gecko) Version/1.5 Chrome/28.0.1500.94 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Android 13; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0",
    "Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows Phone 8.1; ARM; Trident/7.0; Touch; rv:11.0; IEMobile/11.0; NOKIA; Lumia 635) like Gecko",
)
BOT_AGENTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "python-requests/2.31.0", "-",
)
AGENT_WITH_QUOTES = r"Mozilla/5.0 (\"compatible\"; Crawler\\1.0)"  # as Apache writes it: quotes and backslashes escaped
REFERERS = ("-", "-", "https://www.kampeky.example/", "https://www.kampeky.example/recherche?q=robe", "https://www.google.fr/", "https://duckduckgo.com/")
# (request line as Apache writes it, status, bytes): noise that reaches every public port 80
NOISE = ((r"-", "408", "-"), (r"\x16\x03\x01", "400", "226"), (r"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400", "226"), (r"\n", "400", "226"))
