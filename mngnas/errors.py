"""The one kind of error that a user's mistake raises; the command line prints its single line and exits with 2."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user gave; the message is one line that names the value and what is allowed."""


def unknown(kind: str, name: str, available: Iterable[str]) -> UserError:
    """The error for a name that is not in a list: "unknown strategy 'spso'; did you mean 'spos'? available: ..."."""
    names = list(available)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"unknown {kind} {name!r}; {hint}available: {', '.join(names)}")
