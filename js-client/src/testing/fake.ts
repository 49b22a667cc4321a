import { RpcError } from "../errors.js";
import { createInstant, type Instant } from "../instant.js";
import { isRecord } from "../json.js";
import type { InstantOptions, WebSocketConstructor } from "../options.js";
import type { Right } from "../types.js";

/** The key by which a page says that nobody is to keep what it publishes. */
const WHISPER = "instant:whisper";

/** The arguments of `publish()` in Python, with this package's names. */
export interface FakePublication {
  readonly message?: string;
  readonly data?: unknown;
  readonly eventClass?: string;
  readonly bucket?: string;
  readonly id?: string;
  /** The page that caused it. With `instant.tab` the message is the page's own. */
  readonly tab?: string;
  /** True for what the page has whispered. */
  readonly whisper?: boolean;
}

export interface FakeOptions {
  /** Id of the user who is signed in; `""` for nobody. @default "" */
  readonly user?: string;
  /** Channels that the user may not join. @default none */
  readonly denied?: readonly string[];
  /** What the user may do besides listening, by channel. @default nothing */
  readonly rights?: Readonly<Record<string, readonly Right[]>>;
  /** The states of channels, by channel: what `snapshot()` returns in Python. @default none */
  readonly states?: Readonly<Record<string, unknown>>;
  /** What Python answers to calls, by method; an `RpcError` that one throws is the caller's. @default none */
  readonly methods?: Readonly<Record<string, (data: never) => unknown>>;
  /** More options for `createInstant()`. */
  readonly options?: InstantOptions;
}

interface Command {
  readonly id?: number;
  readonly connect?: object;
  readonly subscribe?: { readonly channel: string; readonly recover?: boolean; readonly offset?: number; readonly epoch?: string };
  readonly unsubscribe?: { readonly channel: string };
  readonly publish?: { readonly channel: string; readonly data: unknown };
  readonly rpc?: { readonly method: string; readonly data: unknown };
  readonly presence?: { readonly channel: string };
  readonly history?: { readonly channel: string; readonly limit?: number; readonly reverse?: boolean };
}

interface Stored {
  readonly offset: number;
  readonly data: unknown;
  readonly info?: object;
}

/** A WebSocket in memory, with what the SDK uses of one. */
class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly channels = new Set<string>();
  readonly #server: FakeInstant;

  constructor(server: FakeInstant) {
    this.#server = server;
    queueMicrotask(() => {
      if (server.isDown) this.end(1006, "");
      else {
        server.sockets.add(this);
        this.onopen?.();
      }
    });
  }

  send(frame: string): void {
    const replies = frame.split("\n").flatMap((line) => this.#server.answer(this, JSON.parse(line) as Command));
    if (replies.length > 0) queueMicrotask(() => this.onmessage?.({ data: replies.join("\n") }));
  }

  close(): void {
    this.end(1000, "");
  }

  /** Ends the connection, for either side. */
  end(code: number, reason: string): void {
    this.#server.sockets.delete(this);
    // Frames that were sent before arrive first.
    setTimeout(() => this.onclose?.({ code, reason }), 0);
  }
}

/**
 * A page's connection to a Django and a message server that exist in memory only.
 *
 * `instant` is the real client, which behaves as on a page but uses no network. The other methods do what
 * the servers would do.
 */
export class FakeInstant {
  /** Give this to the code under test. */
  readonly instant: Instant;
  /** The messages that the page published, in order. */
  readonly published: (FakePublication & { readonly channel: string })[] = [];
  /** Id of the user who is signed in; `""` for nobody. With `undefined`, Django refuses the connection. */
  user: string | undefined;
  /** Channels that the user may not join; read with each connection. */
  readonly denied: Set<string>;
  /** What the user may do besides listening, by channel; read with each connection. */
  readonly rights: Record<string, readonly Right[]>;
  /** What `snapshot()` returns in Python, by channel; read whenever the page asks for a state. */
  readonly states: Record<string, unknown>;
  /** What Python answers to calls, by method. */
  readonly methods: Record<string, (data: never) => unknown>;
  /** True while no connection is possible. */
  isDown = false;
  /** @internal */
  readonly sockets = new Set<FakeSocket>();
  readonly #histories = new Map<string, Stored[]>();
  #epoch = 1;

  /** @internal Use `createFakeInstant()`. */
  constructor({ user = "", denied = [], rights = {}, states = {}, methods = {}, options }: FakeOptions) {
    this.user = user;
    this.denied = new Set(denied);
    this.rights = { ...rights };
    this.states = { ...states };
    this.methods = { ...methods };
    const open = (): FakeSocket => new FakeSocket(this);
    this.instant = createInstant({
      backend: "http://instant.test",
      websocketUrl: "ws://instant.test/connection/websocket",
      transports: ["websocket"],
      reconnectDelay: [1, 5],
      fetch: (input, init) => Promise.resolve(this.#django(input as string, init)),
      WebSocket: function socket() {
        return open();
      } as unknown as WebSocketConstructor,
      ...options,
    });
  }

  /** The channels that the page is subscribed to. */
  get subscribed(): string[] {
    return [...this.sockets].flatMap((socket) => [...socket.channels]).sort();
  }

  /** Resolves when messages of the channel reach the page. */
  async joined(channel: string): Promise<void> {
    while (this.instant.channel(channel).status !== "live") await new Promise((resolve) => setTimeout(resolve, 1));
  }

  /** Does what `publish()` in Python does. */
  publish(channel: string, { eventClass, ...publication }: FakePublication): void {
    const event_class = eventClass === undefined ? {} : { event_class: eventClass };
    this.#store(channel, { channel, site: "Site", ...publication, ...event_class });
  }

  /** Breaks the connection. The page connects again, unless `isDown`. */
  cut(): void {
    for (const socket of [...this.sockets]) socket.end(1006, "");
  }

  /** Breaks the connection and deletes all histories: the page's channels become `lost`. */
  forget(): void {
    this.#histories.clear();
    this.#epoch += 1;
    this.cut();
  }

  /** Ends the user's right to a channel, which becomes `denied`. */
  revoke(channel: string): void {
    this.denied.add(channel);
    this.#push(channel, { unsubscribe: { code: 2000, reason: "revoked" } });
    for (const { channels } of this.sockets) channels.delete(channel);
  }

  /** Ends the session: the page becomes `signed-out`. */
  signOut(): void {
    this.user = undefined;
    this.cut();
  }

  /** @internal */
  answer(socket: FakeSocket, command: Command): string[] {
    const { id } = command;
    if (id === undefined) return [];
    const reply = (body: object): string[] => [JSON.stringify({ id, ...body })];
    const channel = (command.publish ?? command.presence ?? command.history)?.channel ?? "";
    const history = this.#history(channel);
    if (command.connect) return reply({ connect: { client: "fake", version: "fake" } });
    if (command.subscribe) return reply({ subscribe: this.#subscribe(socket, command.subscribe) });
    if (command.unsubscribe) {
      socket.channels.delete(command.unsubscribe.channel);
      return reply({ unsubscribe: {} });
    }
    if (command.publish) {
      const { data } = command.publish;
      const { event_class, [WHISPER]: whispered, ...rest } = isRecord(data) ? data : { data };
      const eventClass = typeof event_class === "string" && { eventClass: event_class };
      this.published.push({ ...rest, channel, ...eventClass, ...(whispered === true && { whisper: true }) });
      queueMicrotask(() => {
        const info = { client: "fake", user: this.user ?? "" };
        if (whispered === true) this.#push(channel, { pub: { data, info } });
        else this.#store(channel, data, info);
      });
      return reply({ publish: {} });
    }
    if (command.rpc) {
      void this.#call(command.rpc).then((body) => socket.onmessage?.({ data: JSON.stringify({ id, ...body }) }));
      return [];
    }
    if (command.presence) return reply({ presence: { presence: { fake: { client: "fake", user: this.user ?? "" } } } });
    if (command.history) {
      const { limit = 0, reverse } = command.history;
      const publications = (reverse === true ? [...history].reverse() : history).slice(0, limit);
      return reply({ history: { publications, offset: history.length, epoch: String(this.#epoch) } });
    }
    return reply({ error: { code: 104, message: "method not found" } });
  }

  async #call({ method, data }: NonNullable<Command["rpc"]>): Promise<object> {
    const answer = this.methods[method];
    if (!answer) return { error: { code: 404, message: "there is no such method" } };
    try {
      return { rpc: { data: (await answer(data as never)) ?? null } };
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const { code, message, temporary } = error;
      return { error: { code, message, temporary } };
    }
  }

  #subscribe(socket: FakeSocket, { channel, recover, offset = 0, epoch }: NonNullable<Command["subscribe"]>): object {
    socket.channels.add(channel);
    const history = this.#history(channel);
    const here = String(this.#epoch);
    const position = { recoverable: true, positioned: true, epoch: here };
    if (recover !== true) return { ...position, offset: history.length };
    const recovered = !epoch || epoch === here;
    return {
      ...position,
      was_recovering: true,
      recovered,
      offset: recovered ? offset : history.length,
      publications: recovered ? history.slice(offset) : [],
    };
  }

  #history(channel: string): Stored[] {
    const history = this.#histories.get(channel) ?? [];
    this.#histories.set(channel, history);
    return history;
  }

  #store(channel: string, data: unknown, info?: object): void {
    const history = this.#history(channel);
    const pub = { data, offset: history.length + 1, ...(info && { info }) };
    history.push(pub);
    this.#push(channel, { pub });
  }

  #push(channel: string, push: object): void {
    for (const socket of this.sockets) {
      if (socket.channels.has(channel)) socket.onmessage?.({ data: JSON.stringify({ push: { channel, ...push } }) });
    }
  }

  #django(url: string, init?: RequestInit): Response {
    const body = JSON.parse(typeof init?.body === "string" ? init.body : "{}") as { channels?: string[]; username?: string };
    if (url.endsWith("/login/")) this.user = body.username ?? "";
    if (url.endsWith("/logout/")) this.user = "";
    if (this.user === undefined) return Response.json({ error: "Log in first." }, { status: 403 });
    const exp = Date.now() / 1000 + 30;
    const token = (name: string): string => `fake.${btoa(JSON.stringify({ sub: this.user, channel: name }))}.fake`;
    const names = (body.channels ?? []).filter((name) => !this.denied.has(name));
    if (url.endsWith("/snapshot/")) {
      const epoch = String(this.#epoch);
      const known = names.filter((name) => name in this.states);
      const found = known.map((name) => [name, { data: this.states[name], offset: this.#history(name).length, epoch }]);
      return Response.json({ states: Object.fromEntries(found) as object });
    }
    const channels = names.map((name) => ({ name, level: "public", token: token(name), exp, rights: this.rights[name] ?? [] }));
    return Response.json({ ws_token: token(""), exp, channels, next: null });
  }
}

/** Creates a page's connection without servers; give its `instant` to the code under test. */
export function createFakeInstant(options: FakeOptions = {}): FakeInstant {
  return new FakeInstant(options);
}
