/** A Django for tests: its views with session and CSRF token, over real HTTP. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import type { Snapshot } from "../src/types.js";
import { type Claims, sign, TOKEN_KEY } from "./fake-centrifugo.js";

export interface Seen {
  readonly view: string;
  readonly body: Record<string, unknown>;
  readonly csrf: string | undefined;
  readonly tab: string | undefined;
  readonly after: string | undefined;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export class FakeDjango {
  /** All requests, in order. */
  readonly seen: Seen[] = [];
  /** The channels of each user, `""` for all who are not signed in. A user without an entry is refused. */
  readonly rights = new Map<string, string[]>([["", ["public"]]]);
  readonly passwords = new Map<string, string>([["anna", "secret-of-anna"]]);
  /** Channels about which Django cannot decide now. */
  readonly unknown = new Set<string>();
  /** Rights besides listening, by channel. */
  readonly abilities = new Map<string, unknown>();
  /** Answers to presence and history, by view and channel (`presence room`). */
  readonly told = new Map<string, unknown>();
  /** The states of channels as `snapshot/` tells them. */
  readonly states = new Map<string, () => Snapshot>();
  /** Stored messages, and how many of them are in an answer. */
  stored: { readonly channel: string; readonly position: number; readonly payload: { readonly id: string } }[] = [];
  messagesAtOnce = 100;
  /** Seconds for which tokens can be used, and after which connections and subscriptions end. */
  use = 30;
  connectionLife = 3600;
  channelLife = 3600;
  /** The key that signs tokens. */
  key = TOKEN_KEY;
  /** Seconds by which the server's clock is ahead of the browser's. */
  clockAhead = 0;
  /** Answers that are sent instead of the view's, one for each request. */
  readonly instead: Answer[] = [];
  /** Answers wait for this promise, as on a slow network. */
  gate: Promise<void> = Promise.resolve();
  /** The methods of the gateway, and which of the pools answers those of the message server. */
  readonly methods = new Map<string, (data: Record<string, unknown>) => Answer>();
  pools: Readonly<Record<string, string>> | undefined;
  /** The maximum number of channels in an answer. */
  pageSize = 128;
  /** The user of the session. Tests set it for a login in another tab. */
  user = "";
  serial = 0;
  /** What a tenant's names begin with on the message server. */
  prefix = "";
  websocketUrl: string | readonly string[];
  readonly #server: Server;

  private constructor(server: Server, websocketUrl: string) {
    this.#server = server;
    this.websocketUrl = websocketUrl;
    server.on("request", (request, response) => {
      void this.#respond(request, response);
    });
  }

  static async start(websocketUrl: string): Promise<FakeDjango> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new FakeDjango(server, websocketUrl);
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port.toString()}`;
  }

  views(): string[] {
    return this.seen.map(({ view }) => view);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? "/", "http://host");
    const view = url.pathname.replace(/^\/instant\/|\/$/g, "");
    const header = (name: string): string | undefined => {
      const value = request.headers[name];
      return typeof value === "string" ? value : undefined;
    };
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
    this.seen.push({
      view,
      body,
      csrf: header("x-csrftoken"),
      tab: header("x-instant-tab"),
      after: url.searchParams.get("after") ?? undefined,
    });
    const answer = this.instead.shift() ?? this.#view(view, body, url.searchParams.get("after") ?? "");
    await this.gate;
    response.writeHead(answer.status, {
      ...answer.headers,
      "Content-Type": typeof answer.body === "string" ? "text/html" : "application/json",
      Date: new Date(Date.now() + this.clockAhead * 1000).toUTCString(),
    });
    response.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body));
  }

  #view(view: string, body: Record<string, unknown>, after: string): Answer {
    if (view === "login") {
      const { username, password } = body;
      if (typeof username !== "string" || this.passwords.get(username) !== password) {
        return { status: 403, body: { error: "wrong username or password" } };
      }
      this.user = username;
    } else if (view === "logout") {
      this.user = "";
      return { status: 200, body: {} };
    }
    const [, method] = /^rpc\/(.*)$/.exec(view) ?? [];
    if (method !== undefined) {
      return this.methods.get(method)?.(body) ?? { status: 404, body: { error: "there is no such method", code: 404 } };
    }
    const rights = this.rights.get(this.user);
    if (rights === undefined) return { status: 403, body: { error: "log in first" } };
    if (view === "presence" || view === "history") {
      // Django takes both names.
      const told = this.told.get(`${view} ${String(body["channel"]).replace(this.prefix, "")}`);
      return told === undefined ? { status: 403, body: { error: "no such channel" } } : { status: 200, body: told };
    }
    if (view === "messages/outstanding") {
      const channel = String(body["channel"]);
      if (!rights.includes(channel)) return { status: 403, body: { error: "no such channel" } };
      const waiting = this.stored.filter((one) => one.channel === channel && one.position > Number(body["after"] ?? 0));
      const page = waiting.slice(0, Math.min(Number(body["limit"]), this.messagesAtOnce));
      return { status: 200, body: { messages: page, next: page.length < waiting.length ? (page.at(-1)?.position ?? null) : null } };
    }
    if (view === "messages/acknowledge") {
      const ids = body["ids"] as string[];
      this.stored = this.stored.filter(({ payload }) => !ids.includes(payload.id));
      return { status: 200, body: { acknowledged: ids } };
    }
    if (view === "snapshot") {
      const names = body["channels"] as string[];
      const found = names.flatMap((name) => {
        const state = rights.includes(name) && !this.unknown.has(name) && this.states.get(name);
        return state ? [[name, state()] as const] : [];
      });
      const unknown = names.filter((name) => this.unknown.has(name));
      return { status: 200, body: { states: Object.fromEntries(found), ...(unknown.length > 0 && { unknown }) } };
    }
    const asked = body["channels"] as string[] | undefined;
    const unknown = asked?.filter((name) => this.unknown.has(name)) ?? [];
    const names = asked?.filter((name) => rights.includes(name) && !this.unknown.has(name)) ?? [...rights].sort().filter((name) => name > after);
    const page = names.slice(0, this.pageSize);
    const channels = page.map((name) => ({
      name,
      level: name.startsWith("$") ? "users" : "public",
      ...this.#token(this.channelLife, name),
      ...(this.abilities.has(name) && { rights: this.abilities.get(name) }),
    }));
    const next = names.length > page.length ? page.at(-1) : null;
    const answer = { channels, next, ...(unknown.length > 0 && { unknown }) };
    if (view === "subscribe") return { status: 200, body: answer };
    const { token: ws_token, exp, expire_at } = this.#token(this.connectionLife);
    this.serial += 1;
    const csrf_token = `csrf-${this.serial.toString()}`;
    return { status: 200, body: { ...(this.pools && { pools: this.pools }), csrf_token, ws_token, url: this.websocketUrl, exp, expire_at, ...answer } };
  }

  #onServer(channel: string): string {
    const [, head = "", rest = ""] = /^(\$?(?:[^:]*:)?)(.*)$/.exec(channel) ?? [];
    return head + this.prefix + rest;
  }

  #token(life: number, channel?: string): { token: string; exp: number; expire_at: number } {
    this.serial += 1;
    const now = Date.now() / 1000;
    const claims: Claims = {
      sub: this.user && this.prefix + this.user,
      ...(channel !== undefined && { channel: this.#onServer(channel) }),
      exp: Math.ceil(now + this.use),
      expire_at: Math.ceil(now + life),
      serial: this.serial,
    };
    const ahead = this.clockAhead;
    return { token: sign(claims, this.key), exp: claims.exp + ahead, expire_at: claims.expire_at + ahead };
  }
}
