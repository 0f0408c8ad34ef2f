"""The words that policy and contracts are written in, and what the platform adds to every table."""

from __future__ import annotations

from collections.abc import Mapping

# Transform vocabulary: how a column may enter a purpose zone, and the DuckDB type it then has.
# None: the type of the column itself. The SQL of each stands in pseudonymisation/transforms.py.
TRANSFORMS: Mapping[str, str | None] = {
    "pseudonym": "UUID", "keep": None, "month": "DATE", "paris_day": "DATE", "age_band": "VARCHAR",
    "presence": "BOOLEAN", "keyed_hash": "UUID", "route": "VARCHAR", "device_class": "VARCHAR", "browser": "VARCHAR", "region": "VARCHAR",
    "degree": "BIGINT", "moment": "TIMESTAMPTZ", "device": "UUID",
}
LEAVES = {"region": "region"}  # transforms that leave something of another category than the column's
OF_THE_CLOCK = ("paris_day", "moment")  # how a clock enters: its day alone, or its time beside its day
FORMATS = ("access_log", "records")
ERASURES = ("delete", "sever")
EXPORTS = ("portability", "access_only", "none")
VALUE_FORMS = ("email", "iban", "phone", "country")
COLUMN_ERASURES = ("delete", "empty", "redact", "keep")
OWN = "own"  # the kind of a source whose rows are consents: each rests on what it records
BASES = ("consent", "contract", "legitimate_interest")
HOLDING_BASES = (*BASES, "legal_obligation")
ORIGINS = ("member", "observed", "social_network", "payment_institution", "platform")
RECIPIENT_KINDS = ("processor", "group", "authority", "third_party")
GROUNDS = ("necessary", "consent", "obligation", "processor")
SAFEGUARDS = ("eea", "adequacy", "clauses")
CLOCKS = ("event_day", "account")
RIGHTS = ("portability", "objection", "restriction", "erasure")
# what a value is to the person whose row it is; by the first two a person can be named again, as by a member's id or a device (C-11.3)
IDENTIFIES = ("email", "social", "member_name", "first_name", "last_name", "phone", "iban", "street", "postcode", "city", "other")
JOIN_KEYS = IDENTIFIES[:2]
# the column types that a transform can take; any, where it is not named
TRANSFORMABLE: Mapping[str, tuple[str, ...]] = {
    "month": ("DATE", "TIMESTAMPTZ"), "paris_day": ("DATE", "TIMESTAMPTZ"), "age_band": ("DATE",), "route": ("VARCHAR",),
    "device_class": ("VARCHAR",), "keyed_hash": ("VARCHAR",), "pseudonym": ("VARCHAR",), "browser": ("VARCHAR",), "region": ("VARCHAR",),
    "degree": ("DECIMAL(12,2)",), "moment": ("TIMESTAMPTZ",), "device": ("VARCHAR",),
}
# states of an account that refuse it (pipelines/eligibility), and those of them that a purpose may be served despite (C-10.3)
DESPITE = ("account_deleted",)
# columns that the platform adds to every raw table: the batch and line a row came from (its identity where the
# contract has no key), and the Europe/Paris day of its event, by which it is partitioned and expired (C-10.0)
TECHNICAL = {"_batch": "VARCHAR", "_line": "BIGINT"}
DAY = "paris_day"
# what stands in a text where a name, or an address, number or id, was taken out: the same for everybody, or two texts could be joined by it (C-2.6)
NAME_REMOVED, CONTACT_REMOVED = "[membre supprimé]", "[coordonnées retirées]"
# of tables that are laid out by day, also by whom a row names, so that one erasure leaves most files alone (docs/decisions/0017-erasure.md)
BUCKET = "_bucket"
