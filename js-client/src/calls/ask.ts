import type { Centrifuge } from "centrifuge";

import type { Connection } from "../connection.js";
import { isOffline } from "../django.js";
import { RpcError, SupersededError } from "../errors.js";
import { isTooLarge } from "./frame.js";
import { BROKEN, DISCONNECTED, ofGateway, ofSocket, rpcError, TIMEOUT, TOO_LARGE } from "./refusals.js";

/** Milliseconds that a page with a gateway waits for its connection, before it takes the gateway. */
const GATEWAY_AFTER = 3000;
/** What a handler answers to those who are not logged in. */
const SIGNED_OUT = 401;
/** What a method is answered with that nobody has declared. */
const UNKNOWN = 404;
/** Milliseconds between attempts over HTTP. */
const PAUSE = 1000;

/** Private parts of the SDK, whose calls all have the same time to be answered. */
interface Sdk {
  readonly _config: { timeout: number };
  _callPromise<Answer>(command: object, answerOf: (reply: { readonly rpc?: { readonly data?: unknown } }) => Answer): Promise<Answer>;
}

export interface AskOptions {
  /** Local time in milliseconds by which the answer must be there. */
  readonly end: number;
  readonly signal?: AbortSignal | undefined;
  /** Who has made the call, where that is not whoever is signed in now. */
  readonly user?: string | undefined;
  /** True: sent again if the connection broke before the answer. */
  readonly isRepeated?: boolean;
  /** False: a page that is not connected, and does not try, stays so. */
  readonly wakes?: boolean;
}

/** Returns the method's name on the message server, which asks pools of processes by what stands before a colon. */
function wireName(method: string, pools: Readonly<Record<string, string>>): string {
  const matching = Object.keys(pools).filter(
    (pattern) => pattern === method || (pattern.includes("*") && matches(pattern, method)),
  );
  // As in Python, the one that names it most closely.
  const rank = (pattern: string): number => (pattern === method ? Infinity : pattern.length);
  const [closest] = matching.sort((one, other) => rank(other) - rank(one));
  const pool = closest === undefined ? "" : (pools[closest] ?? "");
  return pool ? `${pool}:${method}` : method;
}

function matches(pattern: string, method: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.\\^$+?()[\]{}|-]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(method);
}

/** One question to a method: over the connection, or by HTTP where the page can't connect. */
class Question {
  readonly #connection: Connection;
  readonly #method: string;
  readonly #data: unknown;
  readonly #options: AskOptions;
  readonly #began = Date.now();
  /** Rejects when the time is over, and when the signal aborts. */
  readonly #over: Promise<never>;
  #clean: () => void = () => undefined;

  constructor(connection: Connection, method: string, data: unknown, options: AskOptions) {
    this.#connection = connection;
    this.#method = method;
    this.#data = data;
    this.#options = options;
    const { end, signal } = options;
    this.#over = new Promise((_, reject) => {
      const abort = (): void => {
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        reject(rpcError(method, { code: TIMEOUT, message: "timeout" }));
      }, end - Date.now());
      signal?.addEventListener("abort", abort);
      this.#clean = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      };
      if (signal?.aborted) abort();
    });
    // It may be over while nobody waits.
    this.#over.catch(() => undefined);
  }

  async answer(): Promise<unknown> {
    const { grants } = this.#connection;
    const { isRepeated = false, signal, wakes = true } = this.#options;
    try {
      signal?.throwIfAborted();
      if (wakes) this.#connection.wake();
      // Before the first connection nobody knows who is signed in: whoever it is made the call.
      for (let user = this.#options.user ?? grants.subject; ; ) {
        const send = await this.#way();
        // Whoever is signed in now must not do what another user wanted.
        if (user !== undefined && user !== grants.subject) throw new SupersededError("Another user is signed in");
        user = grants.subject;
        try {
          return await Promise.race([send(), this.#over]);
        } catch (error) {
          if (!isRepeated || !(error instanceof RpcError) || error.code !== BROKEN) throw error;
        }
      }
    } finally {
      this.#clean();
    }
  }

  /** Waits until there is a way. */
  async #way(): Promise<() => Promise<unknown>> {
    for (let way; ; ) {
      way = this.#find();
      if (way) return way;
      await this.#change();
    }
  }

  #find(): (() => Promise<unknown>) | undefined {
    const { client, config, hasEnded, isConnected, status } = this.#connection;
    const hasGateway = Boolean(config.urls.rpc) && !isOffline();
    // The SDK knows first that the connection is lost.
    const state: string | undefined = client?.state;
    if (client && isConnected && state === "connected") {
      if (!isTooLarge(this.#connection, { rpc: { method: this.#method, data: this.#data } })) return () => this.#bySocket(client);
      if (hasGateway) return () => this.#byGateway();
      const message = `the server accepts less than ${String(config.sizeLimit)} bytes`;
      throw rpcError(this.#method, { code: TOO_LARGE, message });
    }
    const isLate = Date.now() - this.#began >= GATEWAY_AFTER;
    if (hasGateway && (hasEnded || status === "offline" || isLate)) return () => this.#byGateway();
    if (!hasEnded && status !== "idle") return undefined;
    const code = status === "signed-out" ? SIGNED_OUT : DISCONNECTED;
    throw rpcError(this.#method, { code, message: status, temporary: status === "idle" });
  }

  /** Waits until the way may be another. */
  async #change(): Promise<void> {
    let stop = (): void => undefined;
    const changed = new Promise<void>((resolve) => {
      const remove = this.#connection.listeners.status.add(() => {
        resolve();
      });
      // The gateway's turn may have come, or the browser may be online again.
      const timer = setTimeout(resolve, PAUSE);
      stop = () => {
        remove();
        clearTimeout(timer);
      };
    });
    await Promise.race([changed, this.#over]).finally(() => {
      stop();
    });
  }

  async #bySocket(client: Centrifuge): Promise<unknown> {
    const sdk = client as unknown as Sdk;
    const config = sdk._config;
    const { timeout } = config;
    const method = wireName(this.#method, this.#connection.django.pools);
    try {
      // Read when the call begins, which is at once. Our own time is over before.
      config.timeout = this.#options.end - Date.now() + PAUSE;
      const answered = sdk._callPromise({ rpc: { method, data: this.#data } }, ({ rpc }) => rpc?.data);
      config.timeout = timeout;
      return await answered;
    } catch (error) {
      throw ofSocket(this.#method, error);
    } finally {
      config.timeout = timeout;
    }
  }

  async #byGateway(): Promise<unknown> {
    // Nothing else may become another path of the site.
    if (!/^(?!\.{1,2}$)[-\w.]+$/.test(this.#method)) throw rpcError(this.#method, { code: UNKNOWN, message: "there is no such method" });
    const left = this.#options.end - Date.now();
    try {
      const { body } = await this.#connection.django.post("rpc", this.#data, `${this.#method}/`, Math.max(left, 1));
      return body["data"];
    } catch (error) {
      const failed = ofGateway(this.#method, error);
      // A request that got no answer may be sent again, but not all the time.
      if (this.#options.isRepeated && failed.code === BROKEN) await this.#change();
      throw failed;
    }
  }
}

/** Asks a method, and returns its answer. Rejects with `RpcError`, with `SupersededError`, or with the signal's reason. */
export function ask(connection: Connection, method: string, data: unknown, options: AskOptions): Promise<unknown> {
  return new Question(connection, method, data, options).answer();
}
