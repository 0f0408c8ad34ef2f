"""Why a row is not stored: it rests on a consent and waits for a record that comes late, or waited in vain (Gate); it is of somebody who was
erased (C-11.3)."""

WAITING, MISSING = "consent.waiting", "consent.missing"
ERASED = "erased_subject"
