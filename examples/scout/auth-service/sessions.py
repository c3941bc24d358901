SESSION_S = 3600


def expired(session, now):
    """Return whether a session is over: an hour after it was last used."""
    return now - session.used_at > SESSION_S
