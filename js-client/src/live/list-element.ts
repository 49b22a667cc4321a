/** `<instant-list>`, and other elements with a list of rows: they follow a queryset of Django's. */
import type { Instant } from "../instant.js";
import type { ChannelStatus } from "../types.js";
import { apply } from "./apply.js";
import { tell } from "./events.js";
import { keepFocus } from "./focus.js";
import { Follower, type ListView } from "./follower.js";
import { parse } from "./parse.js";
import { fetchPage, Refused, type ListConfig } from "./rows.js";

const CONFIG = "data-instant-list";
const KEY = "data-instant-key";
const EMPTY = "data-instant-empty";
/** For a moment, where a row has no id of its own: so a morph knows that it is the same. */
const ROW = "instant-row-that-changes";

const lists = new WeakMap<Element, List>();
/** Those in the page that are no custom elements, as `<tbody>`. */
const others = new Set<Element>();

/** Defines `<instant-list>`, and follows elements that Django has made of `{% livelist … tag="tbody" %}`. */
export function defineList(instant: Instant): void {
  if (customElements.get("instant-list")) return;
  const begin = (element: Element): void => {
    const list = lists.get(element) ?? new List(instant, element);
    lists.set(element, list);
    list.begin();
  };
  const look = (): void => {
    for (const element of others) {
      if (element.isConnected) continue;
      others.delete(element);
      lists.get(element)?.end();
    }
    for (const element of document.querySelectorAll(`[${CONFIG}]:not(instant-list)`)) {
      if (!others.has(element)) begin(element);
      others.add(element);
    }
  };
  customElements.define(
    "instant-list",
    class extends HTMLElement {
      connectedCallback(): void {
        this.style.display ||= "contents";
        // Its rows come after its start tag.
        if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => { if (this.isConnected) begin(this); }, { once: true });
        else begin(this);
      }

      disconnectedCallback(): void {
        lists.get(this)?.end();
      }

      /** Keeps its place: an element that is moved follows on. */
      connectedMoveCallback(): void {
        // nothing to be done
      }
    },
  );
  const watch = (): void => {
    look();
    new MutationObserver(look).observe(document, { childList: true, subtree: true });
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", watch, { once: true });
  else watch();
}

/** The rows of one element. */
class List implements ListView<string> {
  readonly #instant: Instant;
  readonly #element: Element;
  readonly #rows = new Map<string, Element>();
  #follower: Follower<string> | undefined;
  #channel = "";
  #isFollowing = false;

  constructor(instant: Instant, element: Element) {
    this.#instant = instant;
    this.#element = element;
  }

  begin(): void {
    const config = configOf(this.#element);
    if (!config || this.#isFollowing) return;
    if (config.channel !== this.#channel || !this.#follower) {
      this.#channel = config.channel;
      this.#rows.clear();
      for (const row of this.#element.querySelectorAll(`:scope > [${KEY}]`)) this.#rows.set(row.getAttribute(KEY) ?? "", row);
      this.#follower = new Follower(this.#instant, config, [...this.#rows.keys()], this);
    }
    this.#follower.config = config;
    this.#follower.start();
    this.#isFollowing = true;
    // It was read as soon as the channel had a listener.
    this.#element.querySelector(":scope > script[type='application/json']:not([data-instant-state])")?.remove();
  }

  end(): void {
    this.#isFollowing = false;
    this.#follower?.stop();
  }

  status(status: ChannelStatus): void {
    const name = { live: "open", lost: "lost" }[status as string];
    if (name) tell(this.#element, `instant:${name}`, { channel: this.#channel });
  }

  has(key: string): boolean {
    return this.#rows.has(key);
  }

  show(key: string, html: string, next: string | undefined): void {
    const row = this.#rows.get(key);
    if (row?.isConnected) {
      const before = row.outerHTML;
      this.#change(row, html);
      const now = this.#rows.get(key);
      if (now?.outerHTML !== before) this.#tell("change", key, now); // a save may change nothing that is shown
      return;
    }
    const before = next === undefined ? undefined : this.#rows.get(next);
    const last = this.#lastRow();
    if (before) apply(before, html, "before");
    else if (last) apply(last, html, "after");
    else apply(this.#element, html, "append");
    this.#found(key);
    this.#tell("enter", key, this.#rows.get(key));
  }

  move(key: string, next: string | undefined): void {
    const row = this.#rows.get(key);
    const before = (next !== undefined && this.#rows.get(next)) || null;
    if (!row || followingRow(row) === before) return;
    const place = before ?? this.#lastRow()?.nextSibling ?? null;
    keepFocus(this.#element, () => {
      const parent = this.#element as Element & { moveBefore?: (node: Node, child: Node | null) => void };
      if (parent.moveBefore && row.isConnected) parent.moveBefore(row, place);
      else parent.insertBefore(row, place);
    });
    this.#tell("move", key, row);
  }

  hide(key: string): void {
    const row = this.#rows.get(key);
    if (!row) return;
    this.#rows.delete(key);
    // Who prevents it takes the row away, after an animation perhaps.
    if (tell(row, "instant:leave", { key }) && row.isConnected) apply(row, "", "remove");
    this.#mark();
  }

  keep(keys: ReadonlySet<string>): void {
    for (const key of [...this.#rows.keys()]) if (!keys.has(key)) this.hide(key);
  }

  async renew(): Promise<ListConfig | undefined> {
    const element = this.#element;
    const all = [...document.querySelectorAll(`[${CONFIG}]`)];
    const { page } = configOf(element) ?? {};
    const found = [...parse(await fetchPage(page ?? location.href), document.body).querySelectorAll(`[${CONFIG}]`)];
    if (!element.isConnected) return undefined;
    const same = found.find((other) => configOf(other)?.channel === this.#channel);
    const other = same ?? (element.id ? found.find(({ id }) => id === element.id) : found.length === all.length ? found[all.indexOf(element)] : undefined);
    if (!other) throw new Refused();
    // Empty where it is shown as it is, and follows nothing: no more lists may be followed.
    element.setAttribute(CONFIG, other.getAttribute(CONFIG) ?? "");
    if (same) return configOf(element);
    // The page's list is another one by now, as that of another day.
    this.end();
    apply(element, other.innerHTML, "update");
    element.toggleAttribute(EMPTY, other.hasAttribute(EMPTY));
    this.begin();
    return undefined;
  }

  denied(): void {
    this.end();
    for (const key of [...this.#rows.keys()]) this.hide(key);
    this.#follower = undefined;
    tell(this.#element, "instant:denied", { channel: this.#channel });
  }

  failed(error: unknown): void {
    // The page asks again.
    // eslint-disable-next-line no-console
    console.warn("<instant-list>", error);
  }

  #change(row: Element, html: string): void {
    const key = row.getAttribute(KEY) ?? "";
    const fresh = parse(html, this.#element).firstElementChild;
    if (!fresh || fresh.localName !== row.localName || fresh.id !== row.id) apply(row, html, "replace");
    else if (row.id) apply(row, html, "morph");
    else {
      row.id = fresh.id = ROW;
      apply(row, fresh.outerHTML, "morph");
      row.removeAttribute("id");
    }
    this.#found(key);
  }

  #found(key: string): void {
    const row = this.#element.querySelector(`:scope > [${KEY}="${CSS.escape(key)}"]`);
    if (row) this.#rows.set(key, row);
    this.#mark();
  }

  #mark(): void {
    this.#element.toggleAttribute(EMPTY, this.#rows.size === 0);
  }

  #lastRow(): Element | undefined {
    return [...this.#element.querySelectorAll(`:scope > [${KEY}]`)].at(-1);
  }

  #tell(what: string, key: string, row: Element | undefined): void {
    if (row) tell(row, `instant:${what}`, { key });
  }
}

function followingRow(row: Element): Element | null {
  let next = row.nextElementSibling;
  while (next && !next.hasAttribute(KEY)) next = next.nextElementSibling;
  return next;
}

function configOf(element: Element): ListConfig | undefined {
  const text = element.getAttribute(CONFIG);
  return text ? (JSON.parse(text) as ListConfig) : undefined;
}
