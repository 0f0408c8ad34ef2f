"""Why a row that rests on a consent is not stored: it waits for a record that comes late, or waited in vain (Gate)."""

WAITING, MISSING = "consent.waiting", "consent.missing"
