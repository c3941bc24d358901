"""Discounts, in per cent of a price."""


def reduced(price, percent):
    """Return a price less its discount; nothing limits the discount yet."""
    return price * (100 - percent) / 100
