def number(year, count):
    """Return the number of an invoice: without gaps within a year, as the law wants it."""
    return f"{year}-{count:06}"
