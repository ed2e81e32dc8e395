"""Who may do what over HTTP: tokens, sessions, roles and permissions."""

from tieout.access.engine import Created, Tokens
from tieout.access.rules import Caller, Permission, Role
from tieout.access.sessions import Sessions

__all__ = ["Caller", "Created", "Permission", "Role", "Sessions", "Tokens"]
