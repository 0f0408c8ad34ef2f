"""What no file of rules may loosen, as sentences."""

from __future__ import annotations

from pipelines.policy import floors
from pipelines.policy.pages import words


def sentences() -> list[str]:
    """One per floor, with its clause."""
    risk, account = floors.RISK, floors.LONGEST_ACCOUNT
    told = [f"`{name}` flows into {only.told} ({only.clause})" for name, only in floors.ONLY.items()]
    told += [f"`{name}` flows in by consent alone{f', but into {words.listed(only.purposes)}' if only.purposes else ''} ({only.clause})"
             for name, only in floors.WITHOUT_CONSENT.items()]
    told += [
        "the consent to profiles of `log_files` is of a kind of its own, and lines without a member are never profiled (C-2.1)",
        f"{words.listed(floors.NEVER_CONSENT)} are never consent (C-8)",
        f"events of {floors.NECESSARY} cookies serve the purpose service alone (C-8.1)",
        f"marts of {words.listed(floors.NAMING)} alone name persons (C-2.1)",
        f"{words.listed(floors.AFTER_DELETION)} alone goes on after an account's deletion (C-10.3)",
        f"a pseudonym becomes a person again in {words.listed(floors.RESOLVED)} alone (C-3.3b)",
        f"{words.listed(floors.SEEN_BY_NOBODY)} are visible to nobody ({', '.join(dict.fromkeys(floors.SEEN_BY_NOBODY.values()))})",
        f"of a mart of persons k is {risk.k}, l {risk.l} and t {risk.t} or stricter (C-3.3b)",
        f"between purposes a class has {risk.shared_class} members, and linking is at most {risk.linking:g} times chance (C-3.3b)",
        f"a cell of an aggregate has {floors.CELL} members (C-10.7)",
        f"a device's consent runs {floors.DEVICE_CONSENT} at most (C-10.9); an event waits {floors.LATE_CONSENTS} at most for a late one (Gate)",
        f"extracts end after {floors.EXTRACTS} (C-10.4), what waits to be sent after {floors.OUTBOX_HOURS} hours (C-3.4)",
        f"requests are due after {floors.DEADLINE} (C-11.9)"]
    told += [f"{rule} ends {floors.steps(longest)} after the day at the latest" for rule, longest in floors.LONGEST.items()]
    told.append(f"C-10.3 ends {floors.steps(account['after_deletion'])} after deletion at the latest, and "
                f"{floors.steps(account['after_last_activity'])} after the last activity")
    return told
