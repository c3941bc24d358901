class Warehouse:
    """Speaks to the warehouse with a token that is never renewed."""

    def __init__(self, token):
        self.token = token

    def stock(self, article):
        return self.call("stock", article, self.token)
