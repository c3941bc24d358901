EARLY_S = 30


def due(token, now):
    """Return whether a token is to be renewed: some time before it expires, so that no call meets an old one."""
    return now >= token.expires_at - EARLY_S
