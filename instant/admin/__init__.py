"""What the admin shows: channels, stored messages, what waits in the outbox, and queued calls."""

from instant.admin.channels import ChannelAdmin, ChannelForm
from instant.admin.messages import MessageAdmin
from instant.admin.outbox import OutboxRowAdmin
from instant.admin.tickets import TicketAdmin

__all__ = ["ChannelAdmin", "ChannelForm", "MessageAdmin", "OutboxRowAdmin", "TicketAdmin"]
