from django.contrib import admin

from orders.models import Line, Order, Share


class LineInline(admin.TabularInline):
    model = Line
    extra = 0
    raw_id_fields = ("product",)


class ShareInline(admin.TabularInline):
    model = Share
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("__str__", "customer", "status", "created")
    list_filter = ("status",)
    inlines = (LineInline, ShareInline)
    # An order moves on its page, which tells everybody; an edit here would not.
    readonly_fields = ("status",)
