from django.shortcuts import render

from reports.models import Report
from shop.access import staff_only


@staff_only
def report(request):
    newest = Report.objects.select_related("by").first()
    return render(request, "reports/report.html", {"report": newest and newest.as_data()})
