"""The one kind of error that a user's mistake raises; the command line prints its single line and exits with 2."""

import difflib
from collections.abc import Iterable

_MOST_NAMES = 30  # in a message


class UserError(Exception):
    """A mistake in what the user gave; the message is one line that names the value and what is allowed."""


def unknown(kind: str, name: str, available: Iterable[str]) -> UserError:
    """The error for a name that is not in a list: "unknown strategy 'spso'; did you mean 'spos'? available: ..."."""
    names = list(available)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    shown = names if len(names) <= _MOST_NAMES else [*names[:_MOST_NAMES], f"... ({len(names)} in all)"]
    return UserError(f"unknown {kind} {name!r}; {hint}available: {', '.join(shown)}")
