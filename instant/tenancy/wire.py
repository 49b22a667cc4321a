"""
What a tenant's channels and users are called on the server that all tenants share.

================= ======================
in Python, a page on the server
================= ======================
``order:42``      ``order:acme/42``
``$users``        ``$acme/users``
``news``          ``acme/news``
user ``7``        ``acme/7``
================= ======================

The tenant stands after the namespace's ``:``, so that the server's config needs no namespace
more. No channel's own name has a ``/``. What has no tenant keeps its name.
"""

from __future__ import annotations

__all__ = ["audience", "channel", "glob", "prefix", "split", "split_subject", "subject"]


def prefix(tenant: str) -> str:
    """Return what stands before a tenant's own names."""
    return f"{tenant}/" if tenant else ""


def channel(tenant: str, name: str) -> str:
    """Return the server's name of a channel."""
    if not tenant:
        return name
    at = name.find(":") + 1 or int(name.startswith("$"))
    return f"{name[:at]}{tenant}/{name[at:]}"


def glob(tenant: str, pattern: str) -> str:
    """Return what matches the server's names; some of it may be another tenant's, see split()."""
    return f"*{tenant}/*" if tenant and pattern == "*" else channel(tenant, pattern)


def split(name: str) -> tuple[str, str]:
    """
    Return tenant and own name of a channel.

    What channel() makes of nothing comes back as it is, without a tenant: no channel can have
    such a name.
    """
    head, slash, rest = name.partition("/")
    if not slash:
        return "", name
    at = head.find(":") + 1 or int(head.startswith("$"))
    own = head[:at] + rest
    return (head[at:], own) if channel(head[at:], own) == name else ("", name)


def subject(tenant: str, user: str) -> str:
    """
    Return the server's name of a user, who is named as in a token without tenants.

    Anonymous visitors have none, in any tenant. A user without a tenant is never named as one
    who has: a primary key may have any character.
    """
    if not user:
        return ""
    return f"{tenant}/{user}" if tenant or "/" in user else user


def split_subject(name: str) -> tuple[str, str]:
    """Return tenant and own name of a user."""
    tenant, slash, user = name.partition("/")
    return (tenant, user) if slash else ("", name)


def audience(base: str, tenant: str) -> str:
    """Return the ``aud`` of a tenant's tokens."""
    return f"{base}/{tenant}" if tenant else base
