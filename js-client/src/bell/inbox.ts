import type { Position } from "../types.js";

/** A notification, as Django lists it. */
export interface Notification {
  readonly id: string;
  readonly title: string;
  readonly body: string;
  /** A path or an http(s) address, `""` if it leads nowhere. */
  readonly url: string;
  readonly kind: string;
  readonly created: string;
  readonly read: boolean;
}

/** What Django answers. */
interface Page {
  readonly channel: string;
  readonly unread: number;
  readonly notifications: readonly Notification[];
  readonly has_more: boolean;
  /** Whether this browser is notified without a page; missing where none can be. */
  readonly push?: boolean;
  readonly position?: Position;
}

type Found = Pick<Page, "channel" | "position">;

/** Addresses of Django's views. */
export interface BellUrls {
  readonly list: string;
  readonly read: string;
}

/** Milliseconds for an answer. */
const PATIENCE = 20_000;
/** How often it is asked again because something arrived meanwhile. */
const AGAIN = 3;

/** Nobody is logged in. */
export class Refused extends Error {}

/** A user's notifications as far as they are known, and the requests that change them. */
export class Inbox {
  unread = 0;
  items: readonly Notification[] = [];
  hasMore = false;
  push = false;
  readonly #urls: BellUrls;
  /** The number of the newest question. */
  #asked = 0;
  #newest: Promise<Found> | undefined;
  /** How often something was told or done, after which what Django answers to an earlier question may be older. */
  #changes = 0;

  constructor(urls: BellUrls) {
    this.#urls = urls;
  }

  /**
   * Asks anew for the number of unread ones and the newest `limit`. Returns their channel and, with `isFirst`, from
   * which position on others arrive there, if Django knows it. Where it is asked again meanwhile, that answer counts.
   */
  ask(limit: number, isFirst = false): Promise<Found> {
    return (this.#newest = this.#ask((this.#asked += 1), { limit, ...(isFirst && { position: true }) }));
  }

  async #ask(number: number, question: object): Promise<Found> {
    for (let times = 0; ; times += 1) {
      const changes = this.#changes;
      const page = (await this.#post(this.#urls.list, question)) as Page;
      if (number !== this.#asked && this.#newest) return this.#newest;
      if (changes !== this.#changes && times < AGAIN) continue;
      this.unread = page.unread;
      this.items = page.notifications;
      this.hasMore = page.has_more;
      this.push = page.push ?? false;
      return page;
    }
  }

  /** Asks for those that are older than what is known. */
  async askOlder(): Promise<void> {
    const before = this.items.at(-1)?.id;
    const page = (await this.#post(this.#urls.list, { before })) as Page;
    if (before !== this.items.at(-1)?.id) return; // the button was pressed twice, or the list was asked for anew
    this.items = [...this.items, ...page.notifications];
    this.hasMore = page.has_more;
  }

  add(one: Notification): void {
    this.#changes += 1;
    this.unread += 1;
    this.items = [one, ...this.items.filter(({ id }) => id !== one.id)];
  }

  /** Notes what Django says: how many are unread, and which were read; without ids it is asked again. */
  wereRead(ids: readonly string[], unread: number): void {
    this.#changes += 1;
    this.unread = unread;
    this.items = this.items.map((one) => (ids.includes(one.id) ? { ...one, read: true } : one));
  }

  /** Marks one as read; the request outlives the page, which may be left for it. */
  async read(id: string): Promise<void> {
    if (this.items.some((one) => one.id === id && one.read)) return;
    this.wereRead([id], Math.max(this.unread - 1, 0));
    await this.#mark([id], { ids: [id] });
  }

  /** Marks all as read that the list has shown; what arrives meanwhile stays unread. */
  async readAll(): Promise<void> {
    const newest = this.items[0];
    if (!newest) return;
    await this.#mark(this.items.map(({ id }) => id), { until: newest.id });
  }

  /** Marks them at Django, which says how many are left. */
  async #mark(ids: readonly string[], which: object): Promise<void> {
    const changes = this.#changes;
    const { unread } = (await this.#post(this.#urls.read, which, true)) as Page;
    // What arrived meanwhile counts: the channel tells of these, too.
    this.wereRead(ids, changes === this.#changes ? unread : this.unread);
  }

  async #post(url: string, body: object, keepalive = false): Promise<unknown> {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: "same-origin",
      keepalive,
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (response.status === 401 || response.status === 403) throw new Refused();
    if (!response.ok) throw new Error(String(response.status));
    return response.json();
  }
}
