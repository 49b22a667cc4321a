/** Follows a list: which keys it has, in which order, and the rows that this page's user may see of them. */
import type { Instant } from "../instant.js";
import type { ChannelStatus } from "../types.js";
import { fetchRows, Refused, type ListConfig } from "./rows.js";

/** The event class of what Django tells. */
const EVENT = "instant:list";
/** Milliseconds in which changes are collected before rows are asked for, at least. */
const COLLECT = 30;
/** Milliseconds that a message may come too early. */
const EARLY = 1000;
/** Milliseconds after which a list that was refused is followed again: so long a refusal is remembered. */
const REFUSED = 5200;
const REFUSED_TO = 600_000;
/** Milliseconds over which all pages ask for a list that has ended. */
const ENDED = 3000;
const RETRY_FROM = 1000;
const RETRY_TO = 30_000;
const PER_REQUEST = 500;
/** Bytes of keys in a request: Django takes 64 kB. */
const BYTES = 50_000;

type Op =
  | { readonly op: "enter" | "move"; readonly key: string; readonly before: string | null }
  | { readonly op: "leave" | "change"; readonly key: string };

/** What Django tells, and with `keys` the whole list. */
interface Told<Row> {
  readonly v: number;
  readonly keys?: readonly string[];
  readonly ops?: readonly Op[];
  /** Of a list that is the same for everybody. */
  readonly rows?: Readonly<Record<string, Row>>;
  /** Milliseconds over which pages ask for rows: many ask for longer. */
  readonly wait?: number;
  readonly end?: true;
  /** It is what the page has begun with. */
  readonly page?: true;
}

/** What shows the rows. */
export interface ListView<Row> {
  has(key: string): boolean;
  /** Shows a row that is new, or that has changed, before another one's; at the end without `next`. */
  show(key: string, row: Row, next: string | undefined): void;
  move(key: string, next: string | undefined): void;
  hide(key: string): void;
  /** Hides all others. */
  keep(keys: ReadonlySet<string>): void;
  /** Asks for another reference, or for another list. Rejects with `Refused` if there is none for this user. */
  renew(): Promise<ListConfig | undefined>;
  /** The user may not see the list any more. */
  denied(): void;
  failed(error: unknown): void;
  /** Hears what becomes of the channel. */
  status?(status: ChannelStatus): void;
}

const later = (failures: number): number => Math.random() * Math.min(RETRY_TO, RETRY_FROM * 2 ** failures);

/** As many keys as one request may ask for, and one at least. */
function together(wanted: Iterable<string>): string[] {
  const keys: string[] = [];
  const encoder = new TextEncoder();
  let bytes = 0;
  for (const key of wanted) {
    bytes += encoder.encode(JSON.stringify(key)).length + 1;
    if (keys.length && (keys.length >= PER_REQUEST || bytes > BYTES)) break;
    keys.push(key);
  }
  return keys;
}

/** The keys of a list, in step with its channel. */
export class Follower<Row> {
  keys: string[];
  /** Which state of the list the keys are; 0 if that isn't known. */
  version = 0;
  config: ListConfig;
  readonly #instant: Instant;
  readonly #view: ListView<Row>;
  /** Keys whose rows are to be asked for. */
  readonly #wanted = new Set<string>();
  /** Keys whose rows came with messages while others were asked for: what is answered is older. */
  readonly #newer = new Set<string>();
  readonly #early = new Map<number, Told<Row>>();
  #over = new AbortController();
  #gap: ReturnType<typeof setTimeout> | undefined;
  #fetch: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #isFetching = false;
  #hasBegun = false;
  #renewing: Promise<boolean> | undefined;
  #failures = 0;
  #refusals = 0;
  #wait = COLLECT;

  constructor(instant: Instant, config: ListConfig, keys: readonly string[], view: ListView<Row>) {
    this.#instant = instant;
    this.#view = view;
    this.config = config;
    this.keys = [...keys];
  }

  get isFollowing(): boolean {
    return this.#again !== undefined;
  }

  start(): void {
    this.#follow();
    const { life } = this.config;
    // Not all pages at once, and before the reference ends.
    this.#again = setTimeout(() => void this.#renew(), Math.min(life * (500 + 250 * Math.random()), 2 ** 31 - 1));
    if (this.#wanted.size) this.#soon();
  }

  stop(): void {
    this.#over.abort();
    for (const timer of [this.#gap, this.#fetch, this.#again]) clearTimeout(timer);
    this.#gap = this.#fetch = this.#again = undefined;
    this.#early.clear();
  }

  #follow(): void {
    this.#over.abort();
    const { signal } = (this.#over = new AbortController());
    const channel = this.#instant.channel<Told<Row>>(this.config.channel);
    channel.state<Told<Row> | null>(
      (state, message) => {
        if (!message) this.#begin(state);
        // What a browser has published names its connection: nothing of it is shown.
        else if (message.eventClass === EVENT && !message.client) this.#hear(message.data);
      },
      { signal, reduce: (state) => state },
    );
    channel.onStatus((status) => {
      if (status === "live") this.#refusals = 0;
      // The page may give the list, and nobody the right to follow it.
      if (status === "denied") void this.#renew(Math.min(REFUSED * 2 ** this.#refusals++, REFUSED_TO));
      else this.#view.status?.(status);
    }, { signal });
  }

  /** Takes the whole list; what the page has begun with says which version that was. */
  #begin(state: Told<Row> | null): void {
    if (!state) {
      void this.#renew(ENDED * Math.random());
      return;
    }
    if (state.page) {
      if (this.#hasBegun) return;
      this.#hasBegun = true;
      this.version = state.v;
      this.keys = [...(state.keys ?? this.keys)];
      return;
    }
    this.#hasBegun = true;
    const isNews = state.v !== this.version;
    this.version = state.v;
    this.keys = [...(state.keys ?? [])];
    this.#forgetEarly();
    this.#drawAll(isNews);
  }

  #drawAll(isNews: boolean): void {
    const there = new Set(this.keys);
    for (const key of [...this.#wanted]) if (!there.has(key)) this.#wanted.delete(key);
    this.#view.keep(there);
    let next: string | undefined;
    for (const key of [...this.keys].reverse()) {
      if (this.#view.has(key)) {
        this.#view.move(key, next);
        next = key;
      }
      if (isNews) this.#wanted.add(key);
    }
    if (isNews) this.#soon();
  }

  #hear(told: Told<Row>): void {
    if (told.end) {
      void this.#renew(ENDED * Math.random());
      return;
    }
    this.#wait = Math.max(told.wait ?? 0, COLLECT);
    if (!this.version || told.v <= this.version) return; // the state that is on its way has it
    this.#early.set(told.v, told);
    for (let next = this.#early.get(this.version + 1); next; next = this.#early.get(this.version + 1)) {
      this.#early.delete(next.v);
      this.version = next.v;
      if (!next.ops) {
        this.version = 0; // too much to be told: the whole list is asked for
        this.#early.clear();
        this.#follow();
        return;
      }
      this.#apply(next.ops, next.rows ?? {});
    }
    if (!this.#early.size) this.#forgetEarly();
    else this.#gap ??= setTimeout(() => {
      this.#forgetEarly();
      this.version = 0;
      this.#follow();
    }, EARLY);
  }

  #forgetEarly(): void {
    clearTimeout(this.#gap);
    this.#gap = undefined;
    this.#early.clear();
  }

  #apply(ops: readonly Op[], rows: Readonly<Record<string, Row>>): void {
    for (const one of ops) {
      const { op, key } = one;
      if (op === "leave" || op === "move") {
        const place = this.keys.indexOf(key);
        if (place >= 0) this.keys.splice(place, 1);
      }
      if (op === "enter" || op === "move") {
        const place = one.before === null ? -1 : this.keys.indexOf(one.before);
        this.keys.splice(place < 0 ? this.keys.length : place, 0, key);
      }
      const row = Object.hasOwn(rows, key) ? rows[key] : undefined; // a key may be “constructor”
      if (op === "leave") {
        this.#wanted.delete(key);
        this.#view.hide(key);
        continue;
      }
      if (op === "move" && this.#view.has(key)) this.#view.move(key, this.#next(key));
      if (row === undefined) this.#wanted.add(key);
      else {
        this.#wanted.delete(key);
        this.#newer.add(key);
        this.#view.show(key, row, this.#next(key));
      }
    }
    if (this.#wanted.size) this.#soon();
  }

  /** The key of the next row that is shown. */
  #next(key: string): string | undefined {
    for (let place = this.keys.indexOf(key) + 1; place < this.keys.length; place++) {
      const other = this.keys[place];
      if (other !== undefined && this.#view.has(other)) return other;
    }
    return undefined;
  }

  #soon(): void {
    if (this.#isFetching) return;
    this.#fetch ??= setTimeout(() => void this.#ask(), this.#wait * Math.random());
  }

  async #ask(): Promise<void> {
    this.#fetch = undefined;
    const { signal } = this.#over;
    const keys = together(this.#wanted);
    if (!keys.length) return;
    for (const key of keys) this.#wanted.delete(key);
    this.#isFetching = true;
    this.#newer.clear();
    try {
      const answer = await fetchRows<Row>(this.config, keys, this.#instant.headers());
      if (this.#failures) this.#wait = COLLECT;
      this.#failures = 0;
      const there = new Set(this.keys);
      for (const [key, row] of Object.entries(answer.rows)) if (there.has(key) && !this.#newer.has(key)) this.#view.show(key, row, this.#next(key));
      for (const key of answer.gone) if (!this.#newer.has(key)) this.#view.hide(key);
    } catch (error) {
      for (const key of keys) this.#wanted.add(key);
      this.#wait = later(this.#failures++);
      if (!(error instanceof Refused)) this.#view.failed(error);
      else if (!(await this.#renew())) this.#wanted.clear();
    } finally {
      this.#isFetching = false;
      if (this.#wanted.size && !signal.aborted) this.#soon();
    }
  }

  /** Asks for another reference; false where the user may not see the list any more. */
  #renew(pause = 0): Promise<boolean> {
    if (pause && this.#renewing) {
      // What is under way may be another reference only, for a list that has ended meanwhile. It is heard no more.
      this.#over.abort();
      return this.#renewing.then(() => this.#renew(pause));
    }
    return (this.#renewing ??= this.#askAnew(pause).finally(() => { this.#renewing = undefined; }));
  }

  async #askAnew(pause: number): Promise<boolean> {
    if (pause) this.#over.abort();
    const isStill = (): boolean => this.isFollowing;
    for (let failures = 0; isStill(); failures++) {
      try {
        if (pause) await new Promise((resolve) => setTimeout(resolve, pause));
        const config = await this.#view.renew();
        if (!isStill() || !config) return true; // another one follows
        this.config = config;
        const isAnother = pause > 0;
        clearTimeout(this.#again);
        if (isAnother) this.start();
        else this.#again = setTimeout(() => void this.#renew(), config.life * (500 + 250 * Math.random()));
        return true;
      } catch (error) {
        if (error instanceof Refused) {
          this.stop();
          this.#view.denied();
          return false;
        }
        this.#view.failed(error);
        await new Promise((resolve) => setTimeout(resolve, later(failures)));
      }
    }
    return true;
  }
}
