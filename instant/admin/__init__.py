"""What the admin shows: channels, messages, notifications, the outbox, queued calls, and tokens."""

from instant.admin.channels import ChannelAdmin, ChannelForm
from instant.admin.messages import MessageAdmin
from instant.admin.notifications import NotificationAdmin, PushSubscriptionAdmin
from instant.admin.outbox import OutboxRowAdmin
from instant.admin.tickets import TicketAdmin
from instant.admin.worker_tokens import WorkerTokenAdmin

__all__ = [
    "ChannelAdmin",
    "ChannelForm",
    "MessageAdmin",
    "NotificationAdmin",
    "OutboxRowAdmin",
    "PushSubscriptionAdmin",
    "TicketAdmin",
    "WorkerTokenAdmin",
]
