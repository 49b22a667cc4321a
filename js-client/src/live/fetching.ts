/** Asks Django for fragments: those of a page together, and the pages of many viewers one after the other. */

/** The longest that a browser's timer waits. */
const TIMER = 2 ** 31 - 1;
/** Milliseconds in which changes that belong together arrive. */
const COLLECT = 10;
/** Milliseconds between an answer and the next question about the same fragment. */
const GAP = 200;
/** Milliseconds after which a request that isn't answered has failed. */
const PATIENCE = 20_000;
/** Milliseconds between attempts, the first and the longest. */
const RETRY_FROM = 1000;
const RETRY_TO = 30_000;
/** How many fragments a request may ask for. */
const MOST = 100;
/** How many characters of references: Django takes 64 kB. */
const LONGEST = 60_000;
/** How much of its life a reference has behind it when it is renewed. */
const RENEW = 0.75;

/** What Django says of a fragment: its attributes and its HTML, if that has changed; or why not. */
export interface Answer {
  readonly state?: "denied" | "gone" | "old" | "later";
  readonly html?: string;
  readonly [attribute: string]: string | number | undefined;
}

/** A fragment that is asked for. */
export interface Asking {
  /** The signed reference. */
  readonly reference: string;
  /** Milliseconds over which the pages of all viewers ask. */
  readonly spread: number;
  /** What the address of a public one has for a version; `undefined` where it isn't public. */
  readonly version: string | undefined;
  /** `reference` is the one that was asked with. */
  answered(answer: Answer, reference: string): void;
}

/** How often asking has failed, and when it was answered. */
interface Past {
  failures: number;
  last: number;
}

/** The questions of a page. */
export class Fetching {
  readonly #url: string;
  readonly #life: number;
  readonly #due = new Map<Asking, number>();
  /** About these a question is under way. The next one waits: of two answers the older one might come last. */
  readonly #asked = new Set<Asking>();
  readonly #past = new WeakMap<Asking, Past>();
  readonly #renewals = new Map<Asking, ReturnType<typeof setTimeout>>();
  /** Where in the window of all pages this one is: another place after each change, so that nobody is always last. */
  #place = Math.random();
  readonly #renewalPlace = Math.random();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `life` is the number of seconds after which a reference ends. */
  constructor(url: string, life: number) {
    this.#url = url;
    this.#life = life;
    document.addEventListener("visibilitychange", () => { this.#arm(); });
  }

  /** Asks for a fragment, soon. */
  want(one: Asking): void {
    if (this.#due.has(one)) return;
    if (!this.#due.size) this.#place = Math.random();
    const { last, failures } = this.#pastOf(one);
    const now = performance.now();
    const spread = failures ? Math.min(RETRY_FROM * 2 ** failures, RETRY_TO) : one.spread;
    this.#due.set(one, Math.max(now + COLLECT + this.#place * spread, last + GAP));
    this.#arm();
  }

  /** Asks no more for what nobody wants to know any more. */
  forget(one: Asking): void {
    this.#due.delete(one);
    this.#arm();
  }

  /** Asks before the reference ends, until `rest()`. */
  renew(one: Asking): void {
    this.rest(one);
    // Of one page together, of many pages not.
    const wait = this.#life * 1000 * (RENEW + this.#renewalPlace * 0.15);
    if (wait < TIMER) this.#renewals.set(one, setTimeout(() => { this.want(one); }, wait));
  }

  rest(one: Asking): void {
    clearTimeout(this.#renewals.get(one));
    this.#renewals.delete(one);
  }

  #pastOf(one: Asking): Past {
    let past = this.#past.get(one);
    if (!past) this.#past.set(one, (past = { failures: 0, last: -Infinity }));
    return past;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    // A page that nobody sees asks when somebody does.
    const next = Math.min(...[...this.#due].filter(([one]) => !this.#asked.has(one)).map(([, due]) => due));
    if (next === Infinity || document.hidden) return;
    const wait = next - performance.now();
    this.#timer = setTimeout(() => { this.#ask(); }, Math.max(wait, 0));
  }

  #ask(): void {
    const until = performance.now() + COLLECT;
    const ready = [...this.#due].filter(([one, due]) => due <= until && !this.#asked.has(one)).map(([one]) => one);
    for (const one of ready) {
      this.#due.delete(one);
      this.#asked.add(one);
    }
    const own = ready.filter(({ version }) => version === undefined);
    for (const some of together(own)) void this.#answer(some, () => this.#post(some));
    for (const one of ready) if (one.version !== undefined) void this.#answer([one], () => this.#get(one));
    this.#arm();
  }

  async #answer(asked: readonly Asking[], ask: () => Promise<readonly Answer[]>): Promise<void> {
    const references = asked.map(({ reference }) => reference);
    let answers: readonly Answer[] = [];
    try {
      answers = await ask();
    } catch {
      // The next attempt follows.
    }
    const now = performance.now();
    for (const one of asked) {
      this.#asked.delete(one);
      this.#pastOf(one).last = now;
      const due = this.#due.get(one);
      if (due !== undefined) this.#due.set(one, Math.max(due, now + GAP));
    }
    for (const [index, one] of asked.entries()) {
      const past = this.#pastOf(one);
      const answer = answers[index] ?? { state: "later" };
      past.failures = answer.state === "later" ? past.failures + 1 : 0;
      if (answer.state === "later") this.want(one);
      else one.answered(answer, references[index] ?? "");
    }
    this.#arm();
  }

  #post(asked: readonly Asking[]): Promise<readonly Answer[]> {
    return this.#json(this.#url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refs: asked.map(({ reference }) => reference) }),
      credentials: "same-origin",
    });
  }

  /** The same for everybody: without the cookies, which would keep caches from answering. */
  #get({ reference, version = "" }: Asking): Promise<readonly Answer[]> {
    return this.#json(`${this.#url}?${new URLSearchParams({ ref: reference, v: version }).toString()}`, { credentials: "omit" });
  }

  async #json(url: string, options: RequestInit): Promise<readonly Answer[]> {
    const response = await fetch(url, { ...options, signal: AbortSignal.timeout(PATIENCE) });
    if (!response.ok) throw new Error(String(response.status));
    return ((await response.json()) as { fragments: Answer[] }).fragments;
  }
}

/** Puts as many together as one request may ask for. */
function together(all: readonly Asking[]): Asking[][] {
  const found: Asking[][] = [];
  let length = 0;
  for (const one of all) {
    length += one.reference.length + 3;
    const last = found.at(-1);
    if (last && last.length < MOST && length <= LONGEST) last.push(one);
    else {
      found.push([one]);
      length = one.reference.length + 3;
    }
  }
  return found;
}
