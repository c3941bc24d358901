CURRENCY = "EUR"


def shown(price):
    """Return a price in cents as the price tag has it."""
    return f"{price // 100}.{price % 100:02} {CURRENCY}"
