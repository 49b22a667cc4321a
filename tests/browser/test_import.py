"""An import: its progress, the rows that it refuses, and what those do not publish."""

import contextlib
import re

from playwright.sync_api import Error, expect

HEAD = "sku,name,category,price,stock\n"
KEEP_PROGRESS = """
window.seen = [];
addEventListener("DOMContentLoaded", () => {
  const bar = document.querySelector("progress");
  if (bar) new MutationObserver(() => seen.push(bar.value)).observe(bar, { attributes: true });
});
"""


def upload(sam, name, text):
    sam.open("/catalogue/import/")
    sam.page.get_by_label("CSV file").set_input_files(
        {"name": name, "mimeType": "text/csv", "buffer": text.encode()}
    )
    sam.page.get_by_role("button", name="Import this file").click()
    expect(sam.page).to_have_url(re.compile(r"/catalogue/import/\d+/$"))


def count(sam, label):
    return sam.page.locator(".counts div").filter(has_text=label).locator("dd")


def test_progress_goes_to_a_hundred(visit):
    sam, root = visit("sam"), visit("root")
    root.open("/desk/")
    sam.context.add_init_script(KEEP_PROGRESS)
    sam.open("/catalogue/import/")
    sam.page.get_by_role("button", name="Take the bundled list").click()
    expect(sam.page.locator(".status-line")).to_have_text("Done", timeout=60_000)
    expect(sam.page.locator(".percent")).to_have_text("100 %")
    expect(count(sam, "Refused")).to_have_text("9")
    rows = sam.page.locator("#refused li")
    expect(rows).to_have_count(9)
    expect(rows.filter(has_text="7380-A2-M6X20")).to_contain_text("“on order” is no stock")
    seen = sam.page.evaluate("seen")
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert len(set(seen)) > 3, "The bar jumped."
    expect(root.page.locator("#feed li").first).to_contain_text("Import of products.csv done")


def test_what_happens_before_the_page_listens_is_shown(visit):
    sam, root = visit("sam"), visit("root")
    root.open("/desk/")
    held = []
    sam.context.route("**/instant/get_token/", lambda route: held.append(route))  # noqa: PLW0108
    sam.goto("/catalogue/import/")
    file = {
        "name": "early.csv",
        "mimeType": "text/csv",
        "buffer": (HEAD + "X-1,Ex,,1,1\n").encode(),
    }
    sam.page.get_by_label("CSV file").set_input_files(files=[file])
    sam.page.get_by_role("button", name="Import this file").click()
    expect(root.page.locator("#feed li").first).to_contain_text("Import of early.csv done")
    sam.context.unroute_all()
    for route in held:
        with contextlib.suppress(Error):  # of the page before
            route.continue_()
    expect(sam.page.locator(".status-line")).to_have_text("Done")
    expect(sam.page.locator("#refused li")).to_contain_text("no category")


def test_a_refused_row_publishes_nothing(visit, site):
    # Two products whose prices nobody else changes, and which are on the first page of a search.
    site.shell(
        "from catalogue.models import Product\n"
        "for sku in ('ANCHOR-1', 'ANCHOR-2'):\n"
        "    Product.objects.update_or_create(sku=sku, defaults=dict("
        "name=sku, category='Anchors', price='1.00', stock=1))"
    )
    nobody, sam = visit(), visit("sam")
    nobody.open("/catalogue/?q=anchor-")
    # What the page was told, shown or not.
    nobody.page.evaluate(
        """() => {
          window.told = [];
          addEventListener("instant:change", ({ target }) => told.push(target.innerText));
        }"""
    )
    upload(
        sam,
        "anchors.csv",
        HEAD + "ANCHOR-2,Anchor two,Anchors,7.00,-5\n" + "ANCHOR-1,Anchor one,Anchors,2.50,8\n",
    )
    prices = nobody.page.locator(".price")
    expect(prices.first).to_have_text("1.00 € 2.50")
    expect(prices.last).to_have_text("€ 1.00")
    [told] = nobody.page.evaluate("told")
    assert "ANCHOR-1" in told
    expect(sam.page.locator("#refused li")).to_contain_text("the stock is below zero")
    expect(count(sam, "Updated")).to_have_text("1")
    expect(sam.page.locator(".status-line")).to_have_text("Done")


def test_a_file_that_is_no_price_list_says_why(visit):
    sam = visit("sam")
    upload(sam, "letter.csv", "Dear Sir,\nwhere are my bolts?\n")
    expect(sam.page.locator("[data-reason]")).to_contain_text("The first line lacks: sku, name")
    expect(sam.page.locator(".status-line")).to_have_text("Stopped")


def test_a_file_that_is_no_text_is_told_in_words(visit):
    sam = visit("sam")
    sam.open("/catalogue/import/")
    picture = {"name": "photo.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n\0\xff"}
    sam.page.get_by_label("CSV file").set_input_files([picture])
    sam.page.get_by_role("button", name="Import this file").click()
    expect(sam.page.locator("[data-reason]")).to_contain_text("not text in UTF-8. Export it as CSV")


def test_readers_of_the_catalogue_see_it_grow(visit, site):
    nobody, searching, sam = visit(), visit(), visit("sam")
    nobody.open("/catalogue/")
    searching.open("/catalogue/?q=M8")
    before = nobody.page.locator("#count").inner_text()
    row = b"sku,name,category,price,stock\nGROW-1,Wing nut M4,Wing nuts,4.20,5\n"
    sam.open("/catalogue/import/")
    file = {"name": "more.csv", "mimeType": "text/csv", "buffer": row}
    sam.page.get_by_label("CSV file").set_input_files([file])
    sam.page.get_by_role("button", name="Import this file").click()
    expect(nobody.page.locator("#count")).to_have_text(f"{int(before.split()[0]) + 1} products")
    for visitor in (nobody, searching):
        expect(visitor.page.locator("#new-products")).to_be_visible()
    nobody.page.get_by_role("link", name="Show them").click()
    expect(nobody.page.locator("#new-products")).to_be_hidden()
    site.shell("from catalogue.models import Product; Product.objects.get(sku='GROW-1').delete()")
