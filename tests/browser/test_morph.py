"""What people are doing on a page goes on while HTML comes in: traps of morphing, one a test."""

import pytest
from playwright.sync_api import expect

from tests.browser.fragments import Page


@pytest.fixture
def live(chromium):
    context = chromium.new_context()
    page = Page(context.new_page())
    yield page
    context.close()
    assert page.problems == []


def show(live, content, **options):
    """Open a page whose target has the content; return it with what tells that it is the same."""
    page = live.open(f'<div id="target">{content}</div>', **options)
    page.evaluate("for (const one of document.querySelectorAll('#target *')) one.was = true")
    return page


def is_same(page, selector):
    return page.evaluate("(selector) => document.querySelector(selector).was === true", selector)


def focused(page):
    return page.evaluate("document.activeElement.id || document.activeElement.localName")


def test_focus_and_cursor_of_a_field(live):
    page = show(live, '<p>1</p><input id="name" value="Anna Berta">')
    page.locator("#name").evaluate(
        "(field) => { field.focus(); field.setSelectionRange(2, 5, 'backward') }"
    )
    live.arrive('<p>2</p><p>new</p><input id="name" value="Anna Berta" class="ok">')
    expect(page.locator("#target")).to_contain_text("2new")
    assert focused(page) == "name"
    at = page.locator("#name").evaluate(
        "(field) => [field.selectionStart, field.selectionEnd, field.selectionDirection]"
    )
    assert at == [2, 5, "backward"]


def test_cursor_where_the_value_changes(live):
    page = show(live, '<input id="name" value="Anna Berta">')
    page.locator("#name").evaluate("(field) => { field.focus(); field.setSelectionRange(2, 5) }")
    live.arrive('<input id="name" value="Anna Carla">')
    expect(page.locator("#name")).to_have_value("Anna Carla")
    assert page.locator("#name").evaluate(
        "(field) => [field.selectionStart, field.selectionEnd]"
    ) == [2, 5]


def test_half_typed_input(live):
    page = show(live, '<input id="name" value="old"><b>1</b>')
    page.locator("#name").press("End")
    page.keyboard.type("er")
    live.arrive('<input id="name" value="new" placeholder="Name"><b>2</b>')
    expect(page.locator("#name")).to_have_value("older")
    expect(page.locator("#name")).to_have_attribute("placeholder", "Name")
    page.keyboard.type("!")
    expect(page.locator("#name")).to_have_value("older!")


def test_input_that_nobody_has_changed(live):
    page = show(live, '<input id="name" value="old">')
    live.arrive('<input id="name" value="new">')
    expect(page.locator("#name")).to_have_value("new")


def test_half_typed_textarea(live):
    page = show(live, "<b>1</b><textarea name=text>Dear</textarea>")
    page.locator("textarea").press("End")
    page.keyboard.type(" Sir")
    live.arrive("<b>2</b><p>somebody else is here</p><textarea name=text>Hello</textarea>")
    expect(page.locator("textarea")).to_have_value("Dear Sir")
    page.keyboard.type("!")
    expect(page.locator("textarea")).to_have_value("Dear Sir!")


def test_text_goes_into_no_other_field(live):
    page = show(live, "<form><input name=city><input name=street></form>")
    page.locator("[name=city]").press_sequentially("Bern")
    live.arrive("<form><input name=country value=CH><input name=city><input name=street></form>")
    assert page.evaluate("[...document.querySelectorAll('input')].map((one) => one.value)") == [
        "CH",
        "Bern",
        "",
    ]
    page.keyboard.type("e")
    expect(page.locator("[name=city]")).to_have_value("Berne")


def test_text_of_a_field_that_goes_is_gone(live):
    page = show(live, "<form><input name=city></form>")
    page.locator("[name=city]").press_sequentially("Bern")
    live.arrive("<form><input name=card></form>")
    expect(page.locator("[name=card]")).to_have_value("")


def test_checkbox(live):
    page = show(
        live,
        "<input type=checkbox name=one value=1><input type=checkbox name=two value=1 checked><b>1</b>",
    )
    for name in ("one", "two"):
        page.locator(f"[name={name}]").click()
    live.arrive(
        "<input type=checkbox name=one value=1><input type=checkbox name=two value=1 checked><b>2</b>"
    )
    expect(page.locator("b")).to_have_text("2")
    expect(page.locator("[name=one]")).to_be_checked()
    expect(page.locator("[name=two]")).not_to_be_checked()


def test_radio_buttons(live):
    def buttons(chosen):
        said = [
            f"<input type=radio name=size value={n} {'checked' if n == chosen else ''}>"
            for n in "SML"
        ]
        return "".join(said)

    page = show(live, buttons("S"))
    page.locator("[value=M]").check()
    live.arrive(f"<b>new</b>{buttons('L')}")
    expect(page.locator("[value=M]")).to_be_checked()


def test_select_whose_options_change(live):
    page = show(
        live, "<select name=to><option value=a>A</option><option value=b>B</option></select>"
    )
    page.locator("select").select_option("b")
    live.arrive(
        "<select name=to><option value=n>N</option><option value=a>A</option><option value=b>B</option></select>"
    )
    expect(page.locator("option")).to_have_count(3)
    expect(page.locator("select")).to_have_value("b")


def test_select_with_several(live):
    page = show(
        live,
        "<select name=to multiple><option>a</option><option>b</option><option>c</option></select>",
    )
    page.locator("select").select_option(["a", "c"])
    live.arrive(
        "<select name=to multiple><option>0</option><option>a</option><option>b</option><option>c</option></select>"
    )
    expect(page.locator("select")).to_have_values(["a", "c"])


def test_select_that_nobody_has_changed(live):
    page = show(live, "<select name=to><option>a</option><option>b</option></select>")
    live.arrive("<select name=to><option>a</option><option selected>b</option></select>")
    expect(page.locator("select")).to_have_value("b")


def test_file_that_is_chosen(live, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    page = show(live, "<b>1</b><input type=file name=file>")
    page.locator("input").set_input_files(tmp_path / "a.txt")
    live.arrive("<b>2</b><hr><input type=file name=file class=big>")
    expect(page.locator("b")).to_have_text("2")
    assert page.locator("input").evaluate("(field) => field.files.length") == 1


def test_iframe_is_not_loaded_again(live):
    live.serve("/frame", "<p>frame</p>")
    page = show(live, '<b>1</b><iframe id="frame" src="/frame"></iframe>')
    expect(page.frame_locator("iframe").locator("p")).to_have_text("frame")
    live.arrive('<b>2</b><p>new</p><iframe id="frame" src="/frame" title="x"></iframe>')
    live.arrive('<div><iframe id="frame" src="/frame" title="x"></iframe></div><b>3</b>')
    expect(page.locator("b")).to_have_text("3")
    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    assert live.files["/frame"] == 1


def test_video_that_plays(live):
    page = show(live, '<b>1</b><video id="video" muted></video>')
    page.evaluate(
        """async () => {
          const canvas = document.createElement("canvas");
          canvas.getContext("2d").fillRect(0, 0, 9, 9);
          video.srcObject = canvas.captureStream(20);
          window.paint = setInterval(() => canvas.getContext("2d").fillRect(0, 0, 9, 9), 20);
          video.paused_once = false;
          video.addEventListener("pause", () => video.paused_once = true);
          await video.play();
        }"""
    )
    live.arrive('<p>new</p><div><video id="video" muted></video></div><b>2</b>')
    expect(page.locator("b")).to_have_text("2")
    page.wait_for_function(
        "(then) => video.currentTime > then", arg=page.evaluate("video.currentTime")
    )
    assert page.evaluate("[video.paused, video.paused_once]") == [False, False]


def test_details(live):
    page = show(
        live,
        '<details id="a"><summary>A</summary>1</details><details open id="b"><summary>B</summary>1</details>',
    )
    for name in "AB":
        page.get_by_text(name, exact=True).click()
    live.arrive(
        '<details id="a"><summary>A</summary>2</details><details open id="b"><summary>B</summary>2</details>'
    )
    expect(page.locator("#a")).to_contain_text("2")
    assert page.evaluate("[a.open, b.open]") == [True, False]


def test_new_details_begin_as_they_are_sent(live):
    page = show(live, "<b>1</b>")
    live.arrive('<b>1</b><details open id="a"><summary>A</summary>1</details>')
    assert page.evaluate("a.open")


def test_new_details_around_what_was_there(live):
    page = show(live, '<p id="one"><input></p>')
    page.locator("input").press_sequentially("typed")
    live.arrive('<details open class="a"><summary>A</summary><p id="one"><input></p></details>')
    assert attributes(page, "details") == {"open": "", "class": "a"}
    assert is_same(page, "#one")


def test_dialog_that_is_open(live):
    page = show(live, '<b>1</b><dialog id="ask"><p>1</p><button>OK</button></dialog>')
    page.evaluate("ask.showModal()")
    live.arrive('<b>2</b><dialog id="ask"><p>2</p><button>OK</button></dialog>')
    expect(page.locator("#ask p")).to_have_text("2")
    assert page.evaluate("[ask.open, ask.matches(':modal')]") == [True, True]


def test_popover_that_is_open(live):
    page = show(live, '<b>1</b><div id="menu" popover><p>1</p></div>')
    page.evaluate("menu.showPopover()")
    live.arrive('<b>2</b><p>new</p><div id="menu" popover><p>2</p></div>')
    expect(page.locator("#menu p")).to_have_text("2")
    assert page.evaluate("menu.matches(':popover-open')")


def test_scrolling(live):
    def box(text):
        return f'<p>{text}</p><div id="box" style="height:50px;overflow:auto"><div style="height:999px">{text}</div></div>'

    page = show(live, box("1") + '<div style="height:3000px"></div>')
    page.evaluate("box.scrollTop = 300; scrollTo(0, 200)")
    live.arrive(box("2") + '<div style="height:3000px"></div>')
    expect(page.locator("#box")).to_have_text("2")
    assert page.evaluate("[box.scrollTop, scrollY]") == [300, 200]


def test_contenteditable(live):
    page = show(live, "<b>1</b><div id=note contenteditable><p>Hello</p></div>")
    page.locator("#note").click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" there")
    live.arrive("<b>2</b><div id=note contenteditable class=big><p>Hello</p></div>")
    page.keyboard.type("!")
    expect(page.locator("#note")).to_have_text("Hello there!")
    page.evaluate("document.activeElement.blur()")
    live.arrive("<b>3</b><div id=note contenteditable><p>Bye</p></div>")
    expect(page.locator("b")).to_have_text("3")
    expect(page.locator("#note")).to_have_text("Hello there!")


def test_contenteditable_that_nobody_has_changed(live):
    page = show(live, "<div id=note contenteditable><p>Hello</p></div>")
    live.arrive("<div id=note contenteditable><p>Bye</p></div>")
    expect(page.locator("#note")).to_have_text("Bye")


def test_canvas(live):
    page = show(live, "<b>1</b><canvas id=plot></canvas>")
    page.evaluate("plot.width = 50; plot.getContext('2d').fillRect(0, 0, 9, 9)")
    live.arrive("<b>2</b><p>new</p><canvas id=plot class=big></canvas>")
    expect(page.locator("b")).to_have_text("2")
    assert page.evaluate(
        "[plot.width, plot.getContext('2d').getImageData(1, 1, 1, 1).data[3]]"
    ) == [50, 255]


def test_svg(live):
    page = show(live, '<svg id="plot" viewBox="0 0 9 9"><circle id="dot" r="1"/></svg>')
    live.arrive(
        '<svg id="plot" viewBox="0 0 9 9"><g><circle id="dot" r="2"/></g><linearGradient id="g"/></svg>'
    )
    live.arrive('<rect id="new" width="3" height="3"/>', "#plot", "append")
    live.arrive('<circle id="dot" r="4"/>', "#dot", "replace")
    names = page.evaluate(
        "[...document.querySelectorAll('#plot *')].map((one) => one.tagName + one.namespaceURI.at(-1))"
    )
    assert names == ["gg", "circleg", "linearGradientg", "rectg"]
    assert page.evaluate("document.querySelector('#new').getBBox().width") == 3


def test_scripts_run_once(live):
    page = show(live, "<b>1</b><script>window.first = (window.first ?? 0) + 1</script>")
    old, new = "window.first = (window.first ?? 0) + 1", "window.next = (window.next ?? 0) + 1"
    for number in (2, 3):
        live.arrive(f"<b>{number}</b><script>{old}</script><p><script>{new}</script></p>")
    live.arrive(f"<b>4</b><script>{old} + 10</script><p><script>{new}</script></p>")
    expect(page.locator("b")).to_have_text("4")
    assert page.evaluate("[first, next]") == [12, 1]


def test_style_that_stays(live):
    page = show(live, "<style>b { color: rgb(1, 2, 3) }</style><b>1</b>")
    page.evaluate("window.sheet = document.querySelector('#target style').sheet")
    live.arrive("<style>b { color: rgb(1, 2, 3) }</style><b>2</b>")
    assert page.evaluate("document.querySelector('#target style').sheet === sheet")
    live.arrive("<style>b { color: rgb(4, 5, 6) }</style><b>2</b>")
    expect(page.locator("b")).to_have_css("color", "rgb(4, 5, 6)")


def test_template(live):
    page = show(live, "<template id=row><tr><td>1</td></tr></template>")
    live.arrive("<template id=row><tr><td>2</td></tr></template>")
    assert page.evaluate("row.content.querySelector('td').textContent") == "2"


ELEMENTS = """<script nonce>
customElements.define("x-tabs", class extends HTMLElement {
  connectedCallback() {
    window.connected = (window.connected ?? 0) + 1;
    if (!this.shadowRoot) this.attachShadow({ mode: "open" }).innerHTML = "<input><slot></slot>";
    this.setAttribute("chosen", "2");
  }
});
customElements.define("x-clock", class extends HTMLElement {
  connectedCallback() { this.innerHTML ||= "<time>12:00</time>"; }
});
</script>"""


def test_custom_elements(live):
    page = show(
        live, "<b>1</b><x-tabs id=tabs label=One></x-tabs><x-clock></x-clock>", head=ELEMENTS
    )
    page.evaluate(
        "tabs.shadowRoot.querySelector('input').value = 'typed'; tabs.setAttribute('chosen', '3')"
    )
    live.arrive(
        "<b>2</b><p></p><x-tabs id=tabs label=Two><i>in the slot</i></x-tabs><x-clock></x-clock>"
    )
    live.arrive("<b>3</b><x-tabs id=tabs><i>in the slot</i></x-tabs><p></p><x-clock></x-clock>")
    expect(page.locator("b")).to_have_text("3")
    assert (
        page.evaluate("tabs.outerHTML")
        == '<x-tabs id="tabs" chosen="3"><i>in the slot</i></x-tabs>'
    )
    assert page.evaluate("tabs.shadowRoot.querySelector('input').value") == "typed"
    expect(page.locator("x-clock")).to_have_text("12:00")
    assert page.evaluate("connected") == 1


def test_shadow_root_of_the_html(live):
    host = "<div id=host><template shadowrootmode=open><input><slot></slot></template>{}</div>"
    page = show(live, host.format(1))
    page.evaluate("host.shadowRoot.querySelector('input').value = 'typed'")
    live.arrive(host.format(2))
    assert page.evaluate("[host.shadowRoot.querySelector('input').value, host.innerHTML]") == [
        "typed",
        "2",
    ]
    live.arrive(host.format(3).replace("host", "other"))
    assert page.evaluate("other.shadowRoot.querySelectorAll('input').length") == 1


def test_list_in_another_order(live):
    def row(name):
        return f'<li id="{name}">{name} <input></li>'

    page = show(live, f"<ul>{''.join(map(row, 'abcde'))}</ul>")
    page.locator("#d input").press_sequentially("typed")
    live.arrive(f"<ul>{''.join(map(row, 'edxca'))}</ul>")
    assert page.evaluate("[...document.querySelectorAll('li')].map((one) => one.id)") == list(
        "edxca"
    )
    assert all(is_same(page, f"#{name}") for name in "edca")
    expect(page.locator("#d input")).to_have_value("typed")
    expect(page.locator("#d input")).to_be_focused()
    page.keyboard.type("!")
    expect(page.locator("#d input")).to_have_value("typed!")


def test_same_id_in_another_place(live):
    page = show(live, '<div class=todo><p id="one">1</p></div><div class=done></div>')
    live.arrive('<div class=todo></div><div class=done><p id="one">1, done</p></div>')
    expect(page.locator(".done #one")).to_have_text("1, done")
    assert is_same(page, "#one")


def test_table_rows(live):
    page = show(live, "<table><tbody id=rows><tr id=r1><td>1</td></tr></tbody></table>")
    live.arrive("<tr id=r0><td>0</td></tr><tr id=r1><td>1!</td></tr>", "#rows")
    live.arrive("<tr id=r2><td>2</td></tr>", "#rows", "append")
    expect(page.locator("#rows tr")).to_have_text(["0", "1!", "2"])
    assert is_same(page, "#r1")


def test_animation_goes_on(live):
    page = show(live, "<b id=bar>1</b>")
    page.evaluate("window.run = bar.animate({ opacity: [0, 1] }, 1e6)")
    live.arrive("<i></i><b id=bar class=big>2</b>")
    assert page.evaluate("[run.playState, bar.getAnimations()[0] === run]") == ["running", True]


def test_what_is_marked_stays(live):
    page = show(
        live,
        "<div data-instant-keep><p>player</p></div><p>1</p><i class=a data-instant-keep=class>i</i>",
    )
    page.evaluate(
        """() => {
          const made = document.createElement("p");
          made.dataset.instantKeep = "";
          made.textContent = "made";
          target.querySelector(":scope > p").before(made);
          target.querySelector("i").className = "b";
        }"""
    )
    live.arrive(
        "<div data-instant-keep></div><p>2</p><i class=c data-instant-keep=class title=x>i</i>"
    )
    expect(page.locator("#target")).to_have_text("playermade2i")
    expect(page.locator("i")).to_have_class("b")
    expect(page.locator("i")).to_have_attribute("title", "x")


def test_the_target_itself(live):
    page = show(live, "<b>1</b>")
    page.evaluate("target.was = true")
    live.arrive('<div id="target" class="hot"><b>2</b></div>')
    expect(page.locator("#target.hot > b")).to_have_text("2")
    assert is_same(page, "#target")
    assert is_same(page, "b")


def test_focus_whose_element_goes(live):
    def row(number):
        return f'<li id="r{number}"><button>Delete {number}</button></li>'

    page = show(live, f"<ul>{row(1)}{row(2)}{row(3)}</ul>")
    page.locator("#r2 button").focus()
    live.arrive(f"<ul>{row(1)}{row(3)}</ul>")
    # The place, and not the button there: nobody presses it by accident.
    assert focused(page) == "r3"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Delete 3"
    assert page.evaluate("r3.hasAttribute('tabindex')") is False
    live.arrive("", "#r3", "remove")
    assert focused(page) == "r1"
    live.arrive("", "#r1", "remove")
    assert focused(page) == "ul"


def test_focus_of_what_is_replaced(live):
    form = "<form><input name=city value=Bern><button name=go>Go</button></form>"
    page = show(live, form)
    page.locator("input").evaluate("(field) => { field.focus(); field.setSelectionRange(1, 3) }")
    live.arrive(form, action="update")
    assert not is_same(page, "input")
    expect(page.locator("input")).to_be_focused()
    assert page.locator("input").evaluate(
        "(field) => [field.selectionStart, field.selectionEnd]"
    ) == [1, 3]
    page.locator("button").focus()
    live.arrive("<p>over</p>", action="update")
    assert focused(page) == "p"


def test_what_is_as_before_is_not_touched(live):
    page = show(live, "<ul><li>a</li><li>b</li></ul><p>1</p>")
    page.evaluate(
        """() => {
          window.touched = [];
          new MutationObserver((all) => touched.push(...all.map(({ target }) => target.localName ?? "text")))
            .observe(target, { subtree: true, childList: true, attributes: true, characterData: true });
        }"""
    )
    live.arrive("<ul><li>a</li><li>b</li></ul><p>2</p>")
    expect(page.locator("p")).to_have_text("2")
    assert page.evaluate("touched") == ["text"]


def test_what_scripts_have_changed_about_how_it_looks(live):
    """A menu that is open does not close because something else has changed; what changes, changes."""

    def menu(number, more="", classes="menu", said="false"):
        return (
            f'<div id="menu" class="{classes}" aria-expanded="{said}"{more}><b>{number}</b></div>'
        )

    page = show(live, menu(1, " hidden"))
    page.evaluate(
        """menu.classList.add("open"); menu.classList.remove("menu"); menu.hidden = false;
           menu.setAttribute("aria-expanded", "true"); menu.style.color = "red"; menu.title = "x" """
    )
    for number in (2, 3):
        live.arrive(menu(number, " hidden"))
        expect(page.locator("b")).to_have_text(str(number))
        left = {"id": "menu", "class": "open", "aria-expanded": "true", "style": "color: red;"}
        assert attributes(page, "#menu") == left
    live.arrive(menu(4, classes="menu hot", said="mixed"))
    assert attributes(page, "#menu") == {**left, "class": "open hot", "aria-expanded": "mixed"}
    live.arrive(menu(5, classes="", said="mixed"))
    assert attributes(page, "#menu")["class"] == "open"
    page.evaluate("menu.className = 'menu'")
    live.arrive(menu(5, classes="menu", said="mixed"))
    live.arrive(menu(6, classes="", said="mixed"))
    assert attributes(page, "#menu")["class"] == ""


def attributes(page, selector):
    return page.evaluate(
        "(one) => Object.fromEntries([...document.querySelector(one).attributes].map(({ name, value }) => [name, value]))",
        selector,
    )


def test_what_else_scripts_have_changed_is_the_servers_again(live):
    page = show(live, '<b>1</b><button name="go">Save</button><a href="/one">one</a>')
    page.evaluate(
        """() => {
          const [button, link] = target.querySelectorAll("button, a");
          button.disabled = true;
          button.textContent = "Saving";
          link.href = "/two";
        }"""
    )
    live.arrive('<b>2</b><button name="go">Save</button><a href="/one">one</a>')
    expect(page.locator("button")).to_have_text("Save")
    expect(page.locator("button")).to_be_enabled()
    expect(page.locator("a")).to_have_attribute("href", "/one")


def test_content_that_came_with_a_message(live):
    page = show(live, "")
    live.arrive('<ul id="list"><li id="a" class="row">1</li></ul>', action="update")
    live.arrive('<li id="b" class="row">1</li>', "#list", "append")
    live.arrive(
        '<li id="a" class="row">1</li><li id="b" class="row">1</li><li id="c" class="row">1</li>',
        "#list",
    )
    page.evaluate("for (const one of document.querySelectorAll('li')) one.classList.add('open')")
    live.arrive(
        '<li id="a" class="row">2</li><li id="b" class="row">2</li><li id="c" class="row hot">2</li>',
        "#list",
    )
    expect(page.locator("li.row.open")).to_have_text(["2", "2", "2"])
    expect(page.locator("li.hot")).to_have_count(1)


@pytest.mark.parametrize("action", ["update", "append", "replace", "before"])
def test_content_that_came_in_each_way(live, action):
    page = show(live, "<p></p>")
    new = '<b id="new" class="row">{}</b>'
    live.arrive(new.format(1), "#target p", action)
    page.evaluate("document.querySelector('#new').classList.add('open')")
    live.arrive(new.format(2), "#new")
    expect(page.locator("#new.open")).to_have_text("2")


def test_what_the_server_says_as_a_script_did_is_the_servers(live):
    page = show(live, '<p><b class="">1</b></p>')
    page.evaluate("document.querySelector('b').className = 'open'")
    live.arrive('<p><b class="open">1</b></p>')
    live.arrive('<p><b class="">1</b></p>')
    expect(page.locator("b")).to_have_class("")


def test_a_script_may_keep_an_element(live):
    """As a widget that has made something else of it."""
    page = show(live, '<b>1</b><select name="to" class="rich"><option>a</option></select>')
    page.evaluate(
        """() => {
          const select = target.querySelector("select");
          const widget = document.createElement("div");
          widget.dataset.instantKeep = "";
          widget.textContent = "rich";
          select.after(widget);
          window.to = [];
          select.addEventListener("instant:before-morph", (event) => {
            to.push(event.detail.to.outerHTML);
            event.preventDefault();
          });
        }"""
    )
    now = '<select name="to" class="rich"><option>a</option><option>b</option></select>'
    live.arrive(f"<b>2</b>{now}<p>3</p>")
    expect(page.locator("#target")).to_have_text("2arich3")
    assert [text.replace(' id="instant-morph-0"', "") for text in page.evaluate("to")] == [now]


FUZZ = """(count) => {
  let seed = 7;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  const names = ["div", "p", "span", "ul", "section"];
  const tree = (ids, depth) => {
    let html = "";
    for (let left = random(5); left >= 0; left -= 1) {
      const name = names[random(names.length)];
      const id = random(3) ? ids.splice(random(ids.length), 1)[0] : undefined;
      const what = random(8);
      if (what === 0) html += `text ${random(3)}`;
      else if (what === 1) html += `<input name="n${random(4)}" value="${random(3)}">`;
      else if (what === 2) html += `<!--${random(3)}-->`;
      else if (what === 3) html += `<x-own class="a${random(3)}">${random(3)}</x-own>`;
      else {
        const more = [`class="c${random(3)}"`, `title="t${random(3)}"`, ""][random(3)];
        html += `<${name}${id ? ` id="${id}"` : ""} ${more}>${depth ? tree(ids, depth - 1) : ""}</${name}>`;
      }
    }
    return html;
  };
  const ids = () => Array.from({ length: 14 }, (_, n) => `i${n}`);
  const wrong = [];
  const plain = document.createElement("div");
  plain.id = "target";
  for (let n = 0; n < count; n += 1) {
    const html = tree(ids(), 2);
    const all = [...target.querySelectorAll("*")];
    const focus = all.filter((one) => one.localName === "input");
    if (focus.length && random(2)) focus[random(focus.length)].focus();
    const before = target.innerHTML;
    plain.innerHTML = html;
    instant.tell("news", "message",
      { eventClass: "instant:html", client: "", data: { html, target: "#target", action: "morph" } });
    if (!document.activeElement.matches("input")) document.activeElement.blur(); // it rests where none was
    if (!target.isEqualNode(plain)) wrong.push([before, plain.innerHTML, target.innerHTML]);
    for (const one of target.querySelectorAll("input")) if (one.value !== one.defaultValue) wrong.push([before, html, one.outerHTML, one.value]);
  }
  return wrong.slice(0, 2);
}"""


def test_any_html_becomes_any_other(live):
    """Whatever stands there, at the end it is what the server has sent."""
    page = show(live, "")
    assert page.evaluate(FUZZ, 1500) == []


def test_focus_goes_to_no_button(live):
    page = show(live, "<button id=a>Keep</button><button id=b>Delete</button>")
    page.locator("#a").focus()
    live.arrive("<button id=b>Delete</button>")
    assert focused(page) == "target"


def test_a_script_with_the_nonce_runs_once_too(live):
    script = '<script nonce="n1">window.times = (window.times ?? 0) + 1</script>'
    page = show(live, f"<b>1</b>{script}", nonce="n1", policy="script-src 'nonce-n1' 'unsafe-eval'")
    live.arrive(f"<b>2</b>{script}")
    expect(page.locator("b")).to_have_text("2")
    assert page.evaluate("times") == 1
