"""Standard output and error as users have them: closed, full, of few characters, or a terminal that obeys all it reads.

What cannot be shown is replaced, and what a terminal would obey is written out. Output that is lost is an error; what
is said beside it, on standard error, never stops the work.
"""

import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from mngnas.errors import UserError

MOST = 300  # characters of a message
_TAIL = 120  # of them at its end, where it says what to do


def line(text: object) -> str:
    """A message as one line of at most `MOST` characters, without anything that a terminal would obey."""
    shown = escaped(str(text).strip(), "")
    if len(shown) <= MOST:
        return shown
    return f"{shown[: MOST - _TAIL - 5]} ... {shown[len(shown) - _TAIL :]}"


def escaped(text: str, allowed: str) -> str:
    """The text with everything written out that cannot be printed, except what is allowed."""
    if text.isprintable():
        return text
    return "".join(c if c in allowed or _is_shown(c) else c.encode("unicode_escape").decode() for c in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # spaces of other widths


@contextmanager
def streams() -> Iterator[None]:
    """Standard output and error that take any text; afterwards they are as before."""
    _open_the_closed()
    before = sys.stdout, sys.stderr
    sys.stdout = _Stream(sys.stdout, "\n\t", needed=True)
    sys.stderr = _Stream(sys.stderr, "\n\t\r", needed=False)
    try:
        yield
    finally:
        with suppress(UserError, OSError):
            sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _open_the_closed() -> None:
    """Or the next file that is opened would have the number of standard output, and be written to."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


class _Stream:
    """A text stream that can be written to whatever the one below is."""

    def __init__(self, below: TextIO | None, allowed: str, *, needed: bool) -> None:
        self.below, self.allowed, self.needed = below, allowed, needed
        self.encoding = getattr(below, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write what can be shown of a text."""
        if self.below is not None:
            shown = escaped(text, self.allowed)
            try:
                self.below.write(shown.encode(self.encoding, "replace").decode(self.encoding))
            except (OSError, ValueError) as error:
                self._failed(error)
        return len(text)

    def flush(self) -> None:
        """Bring it to where it goes."""
        if self.below is not None:
            try:
                self.below.flush()
            except (OSError, ValueError) as error:
                self._failed(error)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return self.below is not None and self.below.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """The number of the stream below; raises OSError if it has none."""
        if self.below is None:
            raise OSError("the stream is closed")
        return self.below.fileno()

    def writelines(self, lines: list[str]) -> None:
        """Write one after the other."""
        for one in lines:
            self.write(one)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)

    def _failed(self, error: Exception) -> None:
        """Write to nowhere from now on: what is in the buffer must not fail again when Python ends."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
        self.below = None
        if isinstance(error, BrokenPipeError):
            if self.needed:
                raise error  # the reader, `head` for example, has seen enough
        elif self.needed:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"cannot write to standard output: {reason}") from error
