"""Who may do what over HTTP: tokens, roles and permissions."""

from tieout.access.engine import Created, Tokens
from tieout.access.rules import Caller, Permission, Role

__all__ = ["Caller", "Created", "Permission", "Role", "Tokens"]
