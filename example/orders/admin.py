from django.contrib import admin

from orders.models import Line, Order


class LineInline(admin.TabularInline):
    model = Line
    extra = 0
    raw_id_fields = ("product",)


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("__str__", "customer", "status", "created")
    list_filter = ("status",)
    inlines = (LineInline,)
    # An order moves on its page, which tells everybody; an edit here would not.
    readonly_fields = ("status",)
