"""What a customer has chosen."""


def total(items):
    """Return the total of a basket in cents."""
    return sum(item["price"] * item["count"] for item in items)


def add(items, name, price, count=1):
    """Put something into the basket; a price is in cents."""
    return [*items, {"name": name, "price": price, "count": count}]
