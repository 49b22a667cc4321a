"""What the admin shows: channels, messages, notifications, what waits in the outbox, and calls."""

from instant.admin.channels import ChannelAdmin, ChannelForm
from instant.admin.messages import MessageAdmin
from instant.admin.notifications import NotificationAdmin, PushSubscriptionAdmin
from instant.admin.outbox import OutboxRowAdmin
from instant.admin.tickets import TicketAdmin

__all__ = [
    "ChannelAdmin",
    "ChannelForm",
    "MessageAdmin",
    "NotificationAdmin",
    "OutboxRowAdmin",
    "PushSubscriptionAdmin",
    "TicketAdmin",
]
