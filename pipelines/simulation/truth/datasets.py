"""The fifteen datasets in a few words each: what identifies a row, whom it names, what it must have, and by which day its clocks run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.simulation.truth.days import LOG_DAYS, PHONE_DAYS

OPTIONAL_IDS = ("offer_id", "social_id", "reference")


@dataclass(frozen=True)
class Dataset:
    """`people`: columns that name a member. `made`: the time whose Paris day starts the clocks. `newest`: of several states of one key the one with
    the latest of these counts. `kept_after_leaving`: a leaver's side goes and the row stays, unless it `ends_with` the member of that column (C-2.6,
    C-10.2). `emptied`: column → days after which it is emptied. `only_while`: column → the statuses with which alone its value may come in (C-2.2a,
    C-3.5). `portable`: whether a member can take its rows along (C-11.5)."""

    people: tuple[str, ...]
    made: str
    required: tuple[str, ...]
    key: str | None = None
    newest: str | None = None
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    times: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    amounts: tuple[str, ...] = ()
    kept_after_leaving: bool = False
    ends_with: str | None = None
    emptied: Mapping[str, int] = field(default_factory=dict)
    only_while: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    portable: bool = True


GENDERS = ("female", "male", "other")
RECIPIENTS = ("authorities", "case_handling", "group", "hosting", "mailing", "mangopay", "shipping", "sms_verification", "usage_analysis")

DATASETS: Mapping[str, Dataset] = {
    "members": Dataset(
        ("member_id",), "registered_at",
        ("member_id", "member_name", "email", "registration_channel", "registered_at", "last_active_on", "updated_at"),
        "member_id", "updated_at", {"registration_channel": ("direct", "google", "facebook"), "gender": GENDERS, "age_confirmed": ("true", "false")},
        ("registered_at", "deleted_at", "updated_at"), ("birthday", "last_active_on"), ("friends_count",)),
    "consents": Dataset(
        ("member_id",), "recorded_at", ("consent_id", "kind", "decision", "recorded_at", "method", "policy_version"), "consent_id",
        words={"decision": ("granted", "refused", "withdrawn"),
               "kind": ("functional_cookies", "analytics_cookies", "targeting_cookies", "log_profiling", "email_marketing", "mailbox_marketing",
                        "notification_marketing", "location")},
        times=("recorded_at",), emptied={"user_agent": LOG_DAYS}),
    "usage_events": Dataset(
        ("member_id",), "occurred_at", ("event_id", "device_id", "cookie_category", "occurred_at", "event_type"), "event_id",
        words={"cookie_category": ("necessary", "functional", "analytics", "targeting"),
               "event_type": ("page_view", "search", "item_view", "favourite", "ad_view", "ad_click")},
        times=("occurred_at",), emptied={"occurred_at": LOG_DAYS, "page": LOG_DAYS, "user_agent": LOG_DAYS}),
    "access_logs": Dataset(
        ("member_id",), "requested_at", ("ip", "requested_at", "status"), times=("requested_at",), whole=("status", "bytes"), portable=False),
    "forum_posts": Dataset(
        ("author_id",), "posted_at", ("post_id", "thread_id", "forum_category", "posted_at", "body"), "post_id", times=("posted_at",),
        kept_after_leaving=True),
    "transactions": Dataset(
        ("buyer_id", "seller_id"), "started_at",
        ("transaction_id", "buyer_id", "seller_id", "item_category", "price_eur", "status", "started_at", "updated_at"),
        "transaction_id", "updated_at",
        {"status": ("started", "paid", "shipped", "completed", "cancelled", "disputed")}, ("started_at", "updated_at"), amounts=("price_eur",),
        kept_after_leaving=True),
    "offers": Dataset(
        ("seller_id",), "created_at", ("offer_id", "seller_id", "title", "item_category", "price_eur", "status", "created_at", "updated_at"),
        "offer_id", "updated_at", {"status": ("open", "reserved", "sold", "withdrawn"), "condition": ("new", "as_new", "good", "worn")},
        ("created_at", "updated_at"), amounts=("price_eur",)),
    "comments": Dataset(
        ("author_id", "seller_id"), "posted_at", ("comment_id", "offer_id", "seller_id", "body", "posted_at"), "comment_id", times=("posted_at",),
        kept_after_leaving=True, ends_with="seller_id"),
    "messages": Dataset(
        ("sender_id", "recipient_id"), "sent_at", ("message_id", "conversation_id", "body", "sent_at"), "message_id", times=("sent_at",),
        kept_after_leaving=True),
    "ratings": Dataset(
        ("rater_id", "rated_id"), "rated_at", ("rating_id", "transaction_id", "rated_id", "stars", "rated_at"), "rating_id",
        words={"stars": ("1", "2", "3", "4", "5")}, times=("rated_at",), kept_after_leaving=True, ends_with="rated_id"),
    "social_links": Dataset(
        ("member_id",), "linked_at", ("link_id", "member_id", "provider", "status", "linked_at", "updated_at"), "link_id", "updated_at",
        {"provider": ("google", "facebook"), "status": ("linked", "unlinked"), "gender": GENDERS}, ("linked_at", "updated_at"),
        whole=("friends_count",),
        only_while=dict.fromkeys(("social_id", "first_name", "last_name", "gender", "picture_url", "friends_count"), ("linked",))),
    "wallets": Dataset(
        ("member_id",), "created_at", ("wallet_id", "member_id", "first_name", "last_name", "birth_date", "billing_street", "billing_postcode",
                                       "billing_city", "billing_country", "created_at", "updated_at"),
        "wallet_id", "updated_at", times=("created_at", "updated_at"), days=("birth_date",)),
    "verifications": Dataset(
        ("member_id",), "requested_at", ("verification_id", "member_id", "status", "requested_at", "updated_at"), "verification_id", "updated_at",
        {"status": ("requested", "sent", "confirmed", "expired")}, ("requested_at", "updated_at"), emptied={"phone": PHONE_DAYS},
        only_while={"phone": ("requested", "sent")}),
    "locations": Dataset(
        ("member_id",), "fixed_at", ("device_id", "latitude", "longitude", "origin", "fixed_at"), "device_id", "fixed_at",
        {"origin": ("gps", "wifi", "cell")}, ("fixed_at",)),
    "disclosures": Dataset(
        ("member_id",), "disclosed_at", ("disclosure_id", "member_id", "recipient", "categories", "ground", "disclosed_at"), "disclosure_id",
        words={"recipient": RECIPIENTS, "ground": ("necessary", "consent", "obligation", "processor")}, times=("disclosed_at",), portable=False),
}
