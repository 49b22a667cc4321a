"""
The channels that the shop publishes to.

Each is a row of Instant's ``Channel`` (made by ``manage.py demo_data``, changed in the admin);
every user's own channel needs no row.
"""

PUBLIC = "public"
"""Spoken to everybody who is on the site now; nothing of it is stored."""
NOTICES = "notices"
CATALOGUE = "catalogue"
WHOLESALE = "$wholesale"
"""The group “wholesale”, and the staff as members of the channel."""
STAFF = "$staff"
