TIMEOUT_S = 30


def charge(order):
    """Charge an order, within the timeout."""
