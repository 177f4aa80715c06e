"""What people say of themselves and of days, read the same way by every command."""

from __future__ import annotations

import os
from datetime import date

from tasks.errors import UsageError
from tasks.review.labels import check_name

#: who is at work, where the login name does not tell
USER_VARIABLE = "FLYWHEEL_USER"


def who(by: str) -> str:
    """`--by`, else FLYWHEEL_USER, else who is logged in. Raises UsageError for what is no name."""
    return check_name(by or os.environ.get(USER_VARIABLE, "").strip() or _login())


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise UsageError(
            "nobody knows who you are", next=f"--by NAME, or export {USER_VARIABLE}=NAME"
        ) from None


def last_day(text: str, today: date, what: str) -> date:
    """Of --expires. `what` would be over before it began: a pin, an override."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UsageError("--expires wants a day", received=text, allowed="2027-03-01") from None
    if day < today:
        raise UsageError(f"the {what} would have expired before it holds", received=text)
    return day
