"""Values and messages as they are shown to people: short, on one line, without control characters."""

LONGEST_MESSAGE = 280  # characters; with the program's name before it a line stays below 300


def plain(text: str) -> str:
    """The text with every character that does not print written as an escape."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def short(value: object, longest: int = 80) -> str:
    """A value as messages show it."""
    if isinstance(value, str | bytes | list | tuple) and len(value) > longest:
        value = value[:longest]  # before `repr`, which may take long
    text = plain(repr(value))
    return text if len(text) <= longest else text[: longest - 3] + "..."


def one_line(message: str, longest: int = LONGEST_MESSAGE) -> str:
    """A message on one line of at most `longest` characters."""
    text = plain(" ".join(message.split()))
    return text if len(text) <= longest else text[: longest - 3] + "..."


def listed(names: object, most: int = 8) -> str:
    """The first names of a list, separated by commas, and how many more there are."""
    shown = [plain(str(name))[:40] or "''" for name in list(names)]  # type: ignore[call-overload]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
