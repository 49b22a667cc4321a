from django.contrib import admin

from catalogue.models import ImportRun, Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("sku", "name", "category", "price", "stock")
    list_filter = ("category",)
    search_fields = ("sku", "name")


@admin.register(ImportRun)
class ImportRunAdmin(admin.ModelAdmin):
    list_display = ("file_name", "by", "status", "created_rows", "updated_rows", "refused_rows")
