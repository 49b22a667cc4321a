"""What the admin shows: channels, and what waits in the outbox."""

from instant.admin.channels import ChannelAdmin, ChannelForm
from instant.admin.outbox import OutboxRowAdmin

__all__ = ["ChannelAdmin", "ChannelForm", "OutboxRowAdmin"]
