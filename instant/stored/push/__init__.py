"""Web push: notifications for people who have no page open."""
