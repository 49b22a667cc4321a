"""The app's configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InstantConfig(AppConfig):
    """Instant."""

    name = "instant"
    verbose_name = _("Instant")
    # As in 4.2.0, and so that a project's DEFAULT_AUTO_FIELD makes no migration here.
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, find what each app declares in realtime.py, and listen."""
        from django.utils.module_loading import autodiscover_modules  # noqa: PLC0415

        from instant import checks  # noqa: F401, PLC0415  imported for its registrations
        from instant.conf import isolation  # noqa: PLC0415  it needs settings

        isolation.begin_with_command()

        # An import error inside one is the app's, and shows.
        autodiscover_modules("realtime")
        from instant.broadcasting import receivers as broadcasting  # noqa: PLC0415  likewise
        from instant.inbound.tickets import erasing as tickets  # noqa: PLC0415  it needs the models
        from instant.inbound.tickets import running as jobs  # noqa: PLC0415  likewise
        from instant.pages.lists import channel as lists  # noqa: PLC0415  likewise
        from instant.publishing.outbox import erasing, fixtures  # noqa: PLC0415  likewise
        from instant.publishing.outbox import running as outbox  # noqa: PLC0415  likewise
        from instant.revoking import follow_up, given, receivers  # noqa: PLC0415  they need the models
        from instant.revoking.receivers import depends_on  # noqa: PLC0415  they need the models
        from instant.rights import declared_rows  # noqa: PLC0415  it needs the models
        from instant.server import autostart, web_process  # noqa: PLC0415  they need the settings
        from instant.stored import background  # noqa: PLC0415  likewise
        from instant.stored import methods as stored  # noqa: PLC0415  after what apps declare
        from instant.stored.notifications import running as notifying  # noqa: PLC0415  the models
        from instant.stored.push import subscriptions  # noqa: PLC0415  likewise
        from instant.streaming import erasing as streams  # noqa: PLC0415  likewise

        broadcasting.connect()
        lists.connect()
        given.also(lists.end_what_was_given)
        declared_rows.connect()
        receivers.connect()
        depends_on.connect()
        erasing.connect()
        fixtures.connect()
        tickets.connect()
        streams.connect()
        jobs.register_tasks()
        stored.declare()
        subscriptions.connect()
        background.register_tasks()
        if web_process.role() in {web_process.Role.RUNSERVER, web_process.Role.WORKER}:
            follow_up.start_with_server()
            outbox.start_with_server()
            jobs.start_with_server()
            notifying.start_with_server()
        autostart.start_with_web_server()
