"""Access tokens for back-end services."""

from auth_service.provider import IdentityProvider, ProviderRefused, ProviderUnavailable
from auth_service.refresh import RefreshFailed, TokenRefresher
from auth_service.tokens import Token

__all__ = ["IdentityProvider", "ProviderRefused", "ProviderUnavailable", "RefreshFailed", "Token", "TokenRefresher"]
