def converted(price, rate):
    """Return a price in cents in another currency; the rates come from rates.csv."""
    return round(price * rate)
