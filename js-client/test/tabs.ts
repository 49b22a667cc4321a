/** What tabs of one browser share, for tests in one process. */
type Callback = () => Promise<void> | undefined;

interface Asked {
  readonly name: string;
  readonly start: () => void;
  readonly fail: () => void;
}

/** Stands for `navigator.locks`: one holder for each name, the others in their order. */
export class Locks {
  readonly #held = new Map<string, Asked>();
  readonly #pending: Asked[] = [];

  request(name: string, { signal, steal }: { signal?: AbortSignal; steal?: boolean }, callback: Callback): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (): void => {
        reject(new DOMException("aborted", "AbortError"));
      };
      const start = (): void => {
        this.#held.set(name, asked);
        void Promise.resolve(callback()).then(() => {
          if (this.#held.get(name) === asked) this.#held.delete(name);
          resolve();
          this.#next();
        });
      };
      const asked: Asked = { name, start, fail };
      if (steal) {
        this.#held.get(name)?.fail();
        this.#held.delete(name);
        this.#pending.unshift(asked);
      } else this.#pending.push(asked);
      signal?.addEventListener("abort", () => {
        const index = this.#pending.indexOf(asked);
        if (index < 0) return;
        this.#pending.splice(index, 1);
        fail();
      });
      queueMicrotask(() => {
        this.#next();
      });
    });
  }

  #next(): void {
    const index = this.#pending.findIndex(({ name }) => !this.#held.has(name));
    if (index < 0) return;
    this.#pending.splice(index, 1)[0]?.start();
    this.#next();
  }
}

/** Stands for BroadcastChannel, whose one in Node keeps the process alive. Delivers in a later task, in order. */
export class Channel {
  static readonly all = new Set<Channel>();
  /** What has arrived at a tab that hangs, until it reads it. */
  held: unknown[] | undefined;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
    Channel.all.add(this);
  }

  close(): void {
    Channel.all.delete(this);
  }

  postMessage(data: unknown): void {
    const copy: unknown = structuredClone(data);
    for (const other of Channel.all) {
      if (other === this || other.name !== this.name) continue;
      setImmediate(() => {
        if (!Channel.all.has(other)) return;
        if (other.held) other.held.push(copy);
        else other.onmessage?.({ data: copy });
      });
    }
  }

  /** The tab hangs from now on. */
  hold(): void {
    this.held ??= [];
  }

  /** It runs again, and reads what has arrived. */
  release(): void {
    const { held = [] } = this;
    this.held = undefined;
    for (const data of held) if (Channel.all.has(this)) this.onmessage?.({ data });
  }
}
