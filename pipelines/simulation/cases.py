"""How much of what the simulation makes: every share and every deliberate defect, in one place.

A share is a part of its population. Small worlds round it down to nothing; from `ENOUGH` rows on, a case that a
test relies on is there at least once. Nothing else in the room decides how often something happens.
"""

from __future__ import annotations

ENOUGH = 1000  # members or rows from which the rare cases are promised

# Lives of members, as shares of all members, in the order in which ranks are given out; the rest is active in the period.
LIVES = {
    "due_on_arrival": 0.001,   # deleted more than three months before: must be refused on arrival (C-10.3)
    "deleted_due_soon": 0.004,  # deletion + 3 months falls 2 to 10 days after the end
    "sleeper_due_soon": 0.002,  # last act + 5 years + 3 months falls 2 to 10 days after the end
    "deleted": 0.015,          # deleted in the last 75 days, due later
    "sleeper": 0.04,           # no act for 4 to 5 years
    "lapsed": 0.15,            # no act for 2 months to 4 years
    "newcomer": 0.05,          # registered within the period
}
DUE_SOON_DAYS = (2, 10)        # days after the end between which "due soon" falls
PROMISED_LIVES = ("due_on_arrival", "deleted_due_soon", "sleeper_due_soon", "deleted", "sleeper")
HISTORY_DAYS = 6 * 365         # registrations are spread over this many days before the end

# Members
SOCIAL_CHANNELS = ("google", "facebook")
SOCIAL_SHARE = 0.2             # half of it per channel; the friends count is set, the age is never confirmed
SOCIAL_BIRTHDAY = 0.76         # of the social: an adult's birthday, so the age is known
DIRECT_UNCONFIRMED = 0.015     # of the direct: no age confirmation; most of them without a birthday
MINOR = 0.006                  # a birthday under 18, whatever was confirmed
DIRECT_BIRTHDAY = 0.4
NAMES_GIVEN, GENDER_GIVEN, PICTURE, ABOUT, PLACE, STREET, IBAN = 0.6, 0.5, 0.35, 0.2, 0.55, 0.35, 0.18
IBAN_MISTYPED = 0.01           # of the IBANs: one check digit is wrong (mod 97 fails)

# Devices
SECOND_DEVICE, THIRD_DEVICE = 0.45, 0.12
SHARED_DEVICE = 0.05           # of the second devices: another member's first one
VISITORS_PER_MEMBER = 0.3      # devices of people without an account

# One person with several accounts, which buy from each other: every so many members; the accounts' first device and bank account are the same
RING_EVERY, RING_ACCOUNTS, RING_SALES = 333, 3, 4

# Consents on a device: the first answer to the banner
ACCEPT_ALL, REFUSE_ALL, MIXED = 0.52, 0.22, 0.16  # the rest never answered
WITHDRAWN, GRANTED_AGAIN = 0.18, 0.5              # of the granted; of the withdrawn
GRANTED_LATER = 0.12                              # of the refused
NEVER_CONSENT = 0.06                              # of the answers: by a method that is never consent (C-8)
ANSWERED_LOGGED_OUT = 0.15                        # of the members' devices: the answer names the device only
ANSWERED_IN_PERIOD = 0.35                         # the others answered before it began
ANSWERED_LONG_AGO = 0.05                          # anywhere since registration, so partly expired (C-10.9)
OLDER_VERSION, OLDER_VERSION_LONG_AGO = 0.03, 0.7  # shown an older policy; the same for answers older than OLD_DAYS
OLD_DAYS = 200

# Consents of a member, by kind: (granted, refused). A kind that the policy adds gets OTHER_MEMBER_KIND.
MEMBER_KINDS = {"log_profiling": (0.3, 0.08), "email_marketing": (0.35, 0.0), "mailbox_marketing": (0.2, 0.04)}
OTHER_MEMBER_KIND = (0.2, 0.05)
AT_REGISTRATION = ("email_marketing",)            # asked in the registration form; withdrawn by a link in a mail

# Usage events
EVENTS_PER_MEMBER = 20         # mean of an active member over the whole period, log-normal
ACTIVITY_SPREAD = 0.9          # sigma of its logarithm
EVENTS_PER_VISITOR = 5
SESSION_EVENTS = 5
LOGGED_OUT_START = 0.3         # of the sessions of a member: the first event comes before the login
UNCONSENTED = 0.04             # of the events that lack a grant: recorded all the same, so ingestion must refuse them
COOKIE_CATEGORIES = ("necessary", "functional", "analytics", "targeting")
COOKIE_WEIGHTS = (4, 2, 9, 5)

# Forum
POSTS_PER_MEMBER = 0.5         # of all members, in the period
AUTHOR_GONE = 0.01             # posts whose author the platform has already severed
CONTACT_IN_TEXT = 0.03         # the author's own e-mail address, or a telephone number
THREADS_PER_MEMBER = 0.12

# Transactions, per member
SALES_IN_PERIOD, SALES_IN_TAIL, SALES_DUE_SOON, SALES_ON_CALENDAR_EDGES, SALES_DUE_ON_ARRIVAL = 0.8, 0.2, 0.02, 0.04, 0.001
CARD_SHARE = 0.4

# Offers and what is written about them
OPEN_OFFERS_PER_MEMBER, COMMENTS_PER_OFFER = 1.2, 0.3
RATED_BY_BUYER, RATED_BY_SELLER = 0.6, 0.4

# Acts by command: shares of the members, and of the disputed sales of the last weeks
OBJECTED, RESTRICTED, ASKED_DAYS = 0.02, 0.004, 20  # in as many days before the end
HELD, DISPUTED_DAYS, REVIEWED_AFTER_DAYS = 0.5, 20, 180

# Accounts
UNLINKED = 0.08                # of the social links: cancelled, the row still holding what came through them
VERIFIED = 0.03                # of the members: asked for a telephone number in the period
TO_AUTHORITIES = 0.002         # of the sales

# Access log
REQUESTS_PER_MEMBER, REQUESTS_PER_VISITOR, BOT_REQUESTS_PER_MEMBER, NOISE_PER_MEMBER = 3, 2, 0.3, 0.004
REQUEST_LOGGED_IN = 0.7
IPV6_SHARE, CARRIER_NAT_SHARE = 0.2, 0.1

# Deliberate defects: each kind stands in as many rows as `defects_each` says. "repeated" is a whole row delivered twice.
DEFECT_SHARE = 0.002           # of a dataset's rows, all kinds together
DEFECTS = {
    "members": ("email_without_at", "unknown_channel", "member_name_missing", "friends_count_is_text", "repeated"),
    "consents": ("unknown_decision", "kind_missing", "recorded_at_is_text", "nobody_decided", "repeated"),
    "usage_events": ("cookie_category_missing", "unknown_event_type", "event_id_with_space", "page_too_long", "repeated"),
    "forum_posts": ("body_missing", "posted_at_is_text", "thread_id_missing", "repeated"),
    "transactions": ("unknown_status", "price_is_text", "started_at_missing", "bought_from_oneself", "repeated"),
    "offers": ("title_missing", "price_is_text", "unknown_status", "repeated"),
    "comments": ("body_missing", "posted_at_is_text", "repeated"),
    "messages": ("body_missing", "written_to_oneself", "repeated"),
    "ratings": ("six_stars", "rated_at_missing", "repeated"),
    "social_links": ("unknown_provider", "linked_at_missing", "repeated"),
    "wallets": ("last_name_missing", "birth_date_is_text", "repeated"),
    "verifications": ("requested_at_missing", "repeated"),
    "locations": ("beyond_the_pole",),
    "disclosures": ("unknown_recipient", "repeated"),
    "access_logs": ("truncated", "status_is_text", "impossible_date"),
}
TEXT_IN_PLACE_OF_A_VALUE = "hier"


def promised(share: float, population: int) -> int:
    """How many of `population` a rare case gets: the share, and at least one from ENOUGH on."""
    return max(round(share * population), 1 if population >= ENOUGH else 0)


def defects_each(dataset: str, rows: int) -> int:
    """How many rows of `dataset` carry each kind of defect when it has `rows` sound rows."""
    return promised(DEFECT_SHARE / len(DEFECTS[dataset]), rows)


def defect(dataset: str, rows: int, position: str, spread: bool = True) -> str:
    """SQL for a row's defect: its kind's name, or null. `position` counts rows from 0; defects are spread evenly over them, or stand in the first."""
    kinds = DEFECTS[dataset]
    total = defects_each(dataset, rows) * len(kinds)
    if not total:
        return "null::varchar"
    stride = rows // total if spread else 1
    words = ", ".join(f"'{kind}'" for kind in kinds)
    turn = f"(({position}) // {stride})"
    return f"case when ({position}) % {stride} = {stride - 1} and {turn} < {total} then [{words}][{turn} % {len(kinds)} + 1] end"


def repeats(dataset: str, rows: int) -> int:
    """How many rows of `dataset` are delivered twice."""
    return defects_each(dataset, rows) if "repeated" in DEFECTS[dataset] else 0
