import tempfile
from pathlib import Path

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q
from django.forms import FileField, FileInput, Form, ValidationError
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat

from catalogue import importing
from catalogue.models import ImportRun, Product
from shop.access import not_found, staff_only

BUNDLED = settings.BASE_DIR / "data" / "products.csv"
PAGE = 24


class UploadForm(Form):
    file = FileField(label="CSV file", widget=FileInput(attrs={"accept": ".csv,text/csv"}))

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > settings.MAX_IMPORT:
            raise ValidationError(f"The file may have {filesizeformat(settings.MAX_IMPORT)}.")
        return file


def index(request):
    words = request.GET.get("q", "").replace("\0", "").strip()
    products = Product.objects.all()
    for word in words.split()[:5]:
        products = products.filter(Q(name__icontains=word) | Q(sku__icontains=word))
    # The first of a category has its name above it.
    earlier = products.filter(category=OuterRef("category"), pk__lt=OuterRef("pk"))
    products = products.annotate(is_first=~Exists(earlier))
    page = Paginator(products, PAGE).get_page(request.GET.get("page"))
    start = (page.number - 1) * PAGE
    # Not those of the page, which end with the last one that there is now.
    shown = products[start : start + PAGE]
    return render(request, "catalogue/index.html", {"page": page, "shown": shown, "words": words})


@staff_only
def imports(request):
    form = UploadForm()
    if request.method == "POST":
        if "bundled" in request.POST:
            return _start(request.user, BUNDLED.name, BUNDLED)
        form = UploadForm(request.POST, request.FILES)
        if form.is_valid():
            upload = form.cleaned_data["file"]
            return _start(request.user, upload.name, _kept(upload))
    runs = ImportRun.objects.select_related("by")[:10]
    return render(request, "catalogue/imports.html", {"form": form, "runs": runs})


@staff_only
def run(request, pk):
    found = ImportRun.objects.select_related("by").filter(pk=pk).first()
    if found is None:
        return not_found(request)
    refused = found.refused.all()[: importing.SHOWN]
    return render(request, "catalogue/run.html", {"run": found, "refused": refused})


def _start(by, name, path):
    started = ImportRun.objects.create(file_name=name[:200], by=by)
    importing.start(started, path)
    return redirect(started)


def _kept(upload):
    """Write the upload to a file: Django removes its own when the request ends."""
    settings.IMPORTS.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=settings.IMPORTS, suffix=".csv", delete=False) as file:
        for chunk in upload.chunks():
            file.write(chunk)
    return Path(file.name)
