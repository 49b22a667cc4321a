"""What the admin shows: channels, what waits in the outbox, and queued calls."""

from instant.admin.channels import ChannelAdmin, ChannelForm
from instant.admin.outbox import OutboxRowAdmin
from instant.admin.tickets import TicketAdmin

__all__ = ["ChannelAdmin", "ChannelForm", "OutboxRowAdmin", "TicketAdmin"]
