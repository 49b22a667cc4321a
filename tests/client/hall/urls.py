"""A page with the script, and a way for the tests to do what an admin or a task does."""

import json
import threading
from pathlib import Path

from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template import engines
from django.urls import include, path
from django.utils.safestring import mark_safe
from django.views.decorators.csrf import csrf_exempt

from instant import html
from instant.live import live
from tests.client.hall import changes, fragments
from tests.client.hall.models import Order
from tests.docs.documents import blocks

PAGE = "<!doctype html><title>Hall</title>{% load instant %}{% instant_script %}"


SHARED = PAGE.replace("instant_script", "instant_script shared=True")

STATE = """<!doctype html><title>State</title>{% load instant %}{% instant_script %}
{% instant_state name %}
<script>
  window.seen = { drawn: [], messages: 0, statuses: [], wrong: [], errors: [] };
  seen.isFromPage = document.querySelector("[data-instant-state]") !== null;
  window.channel = instant.channel("{{ name }}");
  instant.on("error", ({ message }) => seen.errors.push(message));
  channel.onStatus((status) => seen.statuses.push(status));
  // The state may have a message already, since it is read after its position. But none may be missing
  // between the two, and none may come twice or before another.
  let known, told;
  channel.state((state, message) => {
    const { n } = state;
    seen.drawn.push(n);
    if (message) {
      seen.messages += 1;
      if (told === undefined ? n > known + 1 : n !== told + 1) seen.wrong.push([n, known, told ?? null]);
      told = n;
    } else {
      [known, told, seen.for] = [n, undefined, state.for];
    }
  });
</script>"""


LITE = "<!doctype html><title>Lite</title>{% load instant %}{% instant_lite %}"


def lite(request):
    return page(request, LITE)


def state(request, name):
    """Show a channel's number; with ?late it grows between rendering and the page's subscription."""
    found = page(request, STATE, name=name)
    changes.count(name, int(request.GET.get("late", 0)))
    return found


SOURCE = """<!doctype html><title>Source</title>{% load instant %}{% instant_script %}
{% instant_source name %}<ul id="list"></ul>
<script>
  window.heard = [];
  for (const name of ["message", "open", "lost", "denied"])
    addEventListener("instant:" + name, ({ detail }) => heard.push(name + (detail.client ? " of a page" : "")));
</script>"""


def source(request, name):
    """Listen to HTML; with ?late some is sent between rendering and the page's subscription."""
    found = page(request, SOURCE, name=name)
    changes.add(name, *range(int(request.GET.get("late", 0))))
    return found


def shared(request):
    return page(request, SHARED)


LIST = """<!doctype html><title>List</title>{% load instant %}{% instant_script %}
<p id="connection"></p>
<table>{% livelist orders template="hall/order.html" tag="tbody" %}</table>
<script>
  window.seen = [];
  for (const name of ["enter", "leave", "move", "change", "denied"]) {
    addEventListener(`instant:${name}`, ({ target }) =>
      seen.push([name, target.querySelector("td")?.textContent ?? ""]));
  }
</script>"""

JSON = """<!doctype html><title>List</title>{% load instant %}{% instant_script %}{% instant_live %}
{{ list|json_script:"list" }}
<script type="module">
  const list = JSON.parse(document.getElementById("list").textContent);
  const renew = async () => (await fetch(location.href + "?json")).json();
  $instant.liveList(instant, list, (rows) => { window.drawn = rows.map(({ title }) => title); }, { renew });
</script>"""


def _orders(request):
    """Staff see all that are open; others their own."""
    found = Order.objects.filter(status="open").order_by("title")
    return found if request.user.is_staff else found.filter(owner=request.user.pk)


def orders(request, most=None):
    if not request.user.is_authenticated:
        return redirect("/")
    found = _orders(request)
    return page(request, LIST, orders=found[:most] if most else found)


def orders_as_json(request):
    found = live(_orders(request).values("title"), user=request.user)
    return JsonResponse(found) if "json" in request.GET else page(request, JSON, list=found)


def recipe(request, template):
    """Show the list of a recipe of docs/lists.md, with its templates and its CSS."""
    found = blocks("django", document="docs/lists.md")
    rows = {one.file: one.code for one in found if one.file}
    lists = [one.code for one in found if f"shop/{template}" in one.code and not one.file]
    css = "".join(one.code for one in blocks("css", document="docs/lists.md"))
    folder = Path(settings.BASE_DIR) / "recipes"
    for name, code in rows.items():
        path = folder / name.removeprefix("shop/templates/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return page(request, f"{PAGE}<style>{css}</style>{lists[0]}", orders=_orders(request))


def page(request, text=PAGE, **context):
    return HttpResponse(engines["django"].from_string(text).render(context, request))


def strict(request):
    """Show a page that runs what has its nonce, with the scripts on another host."""
    text = PAGE.replace("{% instant_script %}", "{{ script }}")
    port = request.get_port()
    script = html.script("n0nce").replace('"/static/', f'"http://localhost:{port}/static/')
    script = script.replace("&quot;/static/", f"&quot;http://localhost:{port}/static/")
    response = page(request, text, script=mark_safe(script))
    response["Content-Security-Policy"] = "script-src 'nonce-n0nce'"
    return response


@csrf_exempt
def change(request, name):
    body = json.loads(request.body)
    return JsonResponse({"result": getattr(changes, name)(*body.pop("arguments"), **body)})


@csrf_exempt
def password(request):
    """Save first, send a mail that takes longer than a page's second try, and keep the session."""
    user = request.user
    user.set_password("pw")
    user.save()
    threading.Event().wait(4)
    update_session_auth_hash(request, user)
    return HttpResponse()


urlpatterns = [
    path("", page),
    path("state/<name>/", state),
    path("source/<name>/", source),
    path("orders/", orders),
    path("orders/<int:most>/", orders),
    path("orders/json/", orders_as_json),
    path("recipe/<template>/", recipe),
    path("lite/", lite),
    path("strict/", strict),
    path("fragment/<int:pk>/", fragments.fragment),
    path("public/<int:pk>/", fragments.public),
    path("shared/", shared),
    path("password/", password),
    path("change/<name>/", change),
    path("instant/", include("instant.urls")),
]
