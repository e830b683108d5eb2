"""What a command raises when the user can put it right."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right. Shown as `kcore: <sentence>`, with exit code 2."""
