/**
 * A message server for tests: the part of the JSON protocol that this client uses, over real WebSockets.
 *
 * Tests read `received` and `errors`, and make things happen with `publish`, `cut`, `close` and
 * `expireTokens`. To extend it, add a case to `#answer`.
 */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";

import { type WebSocket, WebSocketServer } from "ws";

export interface Claims {
  readonly sub: string;
  readonly channel?: string;
  /** Unix time until which the token can be used. */
  readonly exp: number;
  /** Unix time at which the connection or subscription ends. */
  readonly expire_at: number;
  /** The number of the token; see `expireTokens`. */
  readonly serial: number;
}

/** The key that real servers verify tokens with. This server does not verify them. */
export const TOKEN_KEY = "only-for-tests";

export function sign(claims: Claims, key = TOKEN_KEY): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}

interface Command {
  readonly id?: number;
  readonly [name: string]: unknown;
}

interface Params {
  readonly token?: unknown;
  readonly channel?: string;
  readonly recover?: boolean;
  readonly offset?: number;
  readonly epoch?: string;
  readonly join_leave?: boolean;
  readonly method?: string;
  readonly data?: unknown;
  readonly limit?: number;
  readonly reverse?: boolean;
  readonly since?: { readonly offset: number; readonly epoch: string };
}

interface Publication {
  readonly data: unknown;
  readonly offset: number;
  readonly info?: { client: string; user: string };
}

/** Thrown where the server answers with an error, or closes the connection for codes from 3000 on. */
export class Refusal extends Error {
  readonly code: number;
  readonly temporary: boolean;

  constructor(code: number, message: string, temporary = false) {
    super(message);
    this.code = code;
    this.temporary = temporary;
  }
}

/** One connection. */
interface Peer {
  readonly socket: WebSocket;
  readonly client: string;
  readonly channels: Set<string>;
  /** Channels whose joins and leaves it gets. */
  readonly joins: Set<string>;
  user: string | undefined;
}

export class FakeCentrifugo {
  /** The commands that arrived, with their parameters. */
  readonly received: { readonly name: string; readonly params: Params }[] = [];
  /** The codes of all errors, in replies and of closed connections. */
  readonly errors: number[] = [];
  epoch = "first";
  /** True: a subscription comes with the newest publication. */
  keepsNewest = false;
  /** True: channels recover their newest publication only, as with the delivery `Latest`. */
  isLatest = false;
  /** False: channels have no history, and nothing is recovered. */
  keepsHistory = true;
  /** How many publications are kept for recovery. */
  size = Infinity;
  /** True: subscribers may publish, and ask for presence and history. */
  permits = true;
  /** Namespaces whose channels need no token; and those channels that are refused, with the code. */
  readonly tokenless = new Set<string>();
  readonly refused = new Map<string, number>();
  /** The code with which every connection is refused, if there is one. */
  refusal: number | undefined;
  /** What the server asks Python: methods by their names there, and what becomes of a page's publication. */
  readonly methods = new Map<string, (data: unknown) => unknown>();
  onPublish: (data: unknown) => unknown = (data) => data;
  /** Channels to which pages may publish that may not listen. */
  readonly open = new Set<string>();
  /** False: the server decides itself who may publish. */
  asksDjango = true;
  /** False: what pages publish is accepted, and reaches nobody. */
  delivers = true;
  /** Replies with presence wait for this promise. */
  gate: Promise<void> = Promise.resolve();
  readonly #server: WebSocketServer;
  #clients = 0;
  readonly #peers = new Set<Peer>();
  readonly #histories = new Map<string, Publication[]>();
  #validFrom = 0;
  #refuses = false;

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.#accept(socket);
    });
  }

  static async start(): Promise<FakeCentrifugo> {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await once(server, "listening");
    return new FakeCentrifugo(server);
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `ws://127.0.0.1:${port.toString()}/connection/websocket`;
  }

  /** The channels of all subscriptions. */
  get subscribed(): string[] {
    return [...this.#peers].flatMap((peer) => [...peer.channels]).sort();
  }

  get users(): (string | undefined)[] {
    return [...this.#peers].map((peer) => peer.user);
  }

  count(name: string): number {
    return this.received.filter((command) => command.name === name).length;
  }

  /** The position of a channel's newest publication. */
  position(channel: string): { offset: number; epoch: string } {
    return { offset: this.#history(channel).length, epoch: this.epoch };
  }

  publish(channel: string, data: unknown, info?: { client: string; user: string }): void {
    const history = this.#history(channel);
    history.push({ data, offset: history.length + 1, ...(info && { info }) });
    this.deliverNewest(channel);
  }

  /** Sends a channel's newest publication (again). */
  deliverNewest(channel: string): void {
    const publication = this.#history(channel).at(-1);
    this.#send(channel, this.keepsHistory ? publication : { data: publication?.data });
  }

  #send(channel: string, pub: object | undefined): void {
    for (const peer of this.#peers) {
      if (peer.channels.has(channel)) peer.socket.send(JSON.stringify({ push: { channel, pub } }));
    }
  }

  /** Ends the subscriptions to a channel, as the server's API does. */
  unsubscribe(channel: string, code = 2000): void {
    for (const peer of this.#peers) {
      if (!this.#leave(peer, channel)) continue;
      peer.socket.send(JSON.stringify({ push: { channel, unsubscribe: { code, reason: "by a test" } } }));
    }
  }

  /** Closes all connections with a code, or breaks them if there is none. */
  cut(code?: number): void {
    for (const { socket } of this.#peers) {
      if (code === undefined) socket.terminate();
      else socket.close(code, "by a test");
    }
  }

  /** Lets all tokens up to this number expire. */
  expireTokens(serial: number): void {
    this.#validFrom = serial + 1;
  }

  /** While true, new connections are broken at once. */
  set refuses(value: boolean) {
    this.#refuses = value;
  }

  /** Deletes all histories, as a restart with the memory engine does. */
  forget(): void {
    this.#histories.clear();
    this.epoch = this.epoch === "first" ? "second" : `${this.epoch} again`;
  }

  async stop(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #history(channel: string): Publication[] {
    const history = this.#histories.get(channel) ?? [];
    this.#histories.set(channel, history);
    return history;
  }

  #accept(socket: WebSocket): void {
    if (this.#refuses) {
      socket.terminate();
      return;
    }
    this.#clients += 1;
    const client = `client-${this.#clients.toString()}`;
    const peer: Peer = { socket, client, channels: new Set(), joins: new Set(), user: undefined };
    this.#peers.add(peer);
    socket.on("close", () => {
      this.#peers.delete(peer);
      for (const channel of peer.channels) this.#leave(peer, channel);
    });
    socket.on("message", (frame: Buffer) => {
      const replies: string[] = [];
      for (const line of frame.toString().split("\n")) {
        const command = JSON.parse(line) as Command;
        if (command.id === undefined) continue;
        const { id } = command;
        const name = Object.keys(command).find((key) => key !== "id") ?? "";
        const params = command[name] as Params;
        this.received.push({ name, params });
        if (name === "rpc") {
          void this.#rpc(socket, id, params);
          continue;
        }
        try {
          replies.push(JSON.stringify({ id, [name]: this.#answer(peer, name, params) }));
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          this.errors.push(error.code);
          if (error.code >= 3000) {
            socket.close(error.code, error.message);
            return;
          }
          const { code, message, temporary } = error;
          replies.push(JSON.stringify({ id, error: { code, message, ...(temporary && { temporary }) } }));
        }
      }
      if (replies.length === 0) return;
      const gate = replies.some((reply) => reply.includes('"presence"')) ? this.gate : undefined;
      if (gate === undefined) socket.send(replies.join("\n"));
      else {
        void gate.then(() => {
          socket.send(replies.join("\n"));
        });
      }
    });
  }

  async #rpc(socket: WebSocket, id: number, { method = "", data }: Params): Promise<void> {
    let reply: object;
    try {
      const answer = this.methods.get(method);
      if (!answer) throw new Refusal(404, "there is no such method");
      reply = { rpc: { data: await answer(data) } };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { code, message, temporary } = error;
      reply = { error: { code, message, ...(temporary && { temporary }) } };
    }
    socket.send(JSON.stringify({ id, ...reply }));
  }

  #answer(peer: Peer, name: string, params: Params): object {
    switch (name) {
      case "connect": {
        if (this.refusal !== undefined) throw new Refusal(this.refusal, "by a test");
        const claims = this.#claims(params.token);
        peer.user = claims.sub;
        return { client: peer.client, version: "fake", ping: 25, pong: true, ...this.#life(claims) };
      }
      case "refresh":
        return { client: "c", version: "fake", ...this.#life(this.#claims(params.token)) };
      case "subscribe":
      case "sub_refresh": {
        const channel = params.channel ?? "";
        if (this.tokenless.has(channel.split(":")[0] ?? "")) return this.#admit(peer, channel, params);
        const claims = this.#claims(params.token);
        // As on the real server, a token for another user or channel ends the connection.
        if (claims.sub !== peer.user || claims.channel !== channel) throw new Refusal(3500, "invalid token");
        if (name === "subscribe") this.#join(peer, channel, params.join_leave === true);
        return { ...this.#life(claims), ...(name === "subscribe" && this.#position(channel, params)) };
      }
      case "unsubscribe":
        this.#leave(peer, params.channel ?? "");
        return {};
      case "presence":
      case "history":
      case "publish":
        if (name === "publish" && this.open.has(params.channel ?? "")) return {};
        if (!this.permits || !peer.channels.has(params.channel ?? "")) throw new Refusal(103, "permission denied");
        return this.#call(peer, name, params.channel ?? "", params);
      default:
        throw new Refusal(104, "method not found");
    }
  }

  /** Handles a subscription that needs no token. */
  #admit(peer: Peer, channel: string, params: Params): object {
    const code = this.refused.get(channel);
    if (code !== undefined) throw new Refusal(code, "refused");
    // The real server verifies a token if there is one.
    if ("token" in params) throw new Refusal(3500, "invalid token");
    this.#join(peer, channel, params.join_leave === true);
    return this.#position(channel, params);
  }

  #call(peer: Peer, name: string, channel: string, { data, limit = 0, reverse = false, since }: Params): object {
    if (name === "publish") {
      const published = this.onPublish(data);
      if (!this.delivers) return {};
      const info = { client: peer.client, user: peer.user ?? "" };
      // As Django answers to what it is asked about.
      if (this.asksDjango && (data as Record<string, unknown>)["instant:whisper"] === true) this.#send(channel, { data: published, info });
      else this.publish(channel, published, info);
      return {};
    }
    if (name === "presence") {
      const peers = [...this.#peers].filter((peer) => peer.channels.has(channel));
      return { presence: Object.fromEntries(peers.map((peer) => [peer.client, this.#info(peer)])) };
    }
    const history = this.#history(channel);
    const { offset } = since ?? { offset: reverse ? Infinity : 0 };
    const found = reverse
      ? history.filter((one) => one.offset < offset).reverse()
      : history.filter((one) => one.offset > offset);
    return { epoch: this.epoch, offset: history.length, publications: found.slice(0, limit) };
  }

  #info(peer: Peer): object {
    return { client: peer.client, user: peer.user ?? "", conn_info: { name: peer.user } };
  }

  #join(peer: Peer, channel: string, hearsJoins: boolean): void {
    peer.channels.add(channel);
    if (hearsJoins) peer.joins.add(channel);
    this.#tell(channel, { join: { info: this.#info(peer) } });
  }

  #leave(peer: Peer, channel: string): boolean {
    peer.joins.delete(channel);
    if (!peer.channels.delete(channel)) return false;
    this.#tell(channel, { leave: { info: this.#info(peer) } });
    return true;
  }

  #tell(channel: string, push: object): void {
    for (const { joins, socket } of this.#peers) {
      if (joins.has(channel)) socket.send(JSON.stringify({ push: { channel, ...push } }));
    }
  }

  #claims(token: unknown): Claims {
    if (typeof token !== "string") throw new Refusal(3500, "invalid token");
    const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Claims;
    if (claims.serial < this.#validFrom || claims.exp < Date.now() / 1000) throw new Refusal(109, "token expired");
    return claims;
  }

  #life({ expire_at }: Claims): object {
    return { expires: true, ttl: Math.max(1, Math.round(expire_at - Date.now() / 1000)) };
  }

  #position(channel: string, { recover, offset = 0, epoch }: Params): object {
    if (!this.keepsHistory) return {};
    const history = this.#history(channel);
    const position = { recoverable: true, positioned: true, epoch: this.epoch };
    if (this.isLatest) {
      // The server takes every subscription for one that recovers; without a publication it recovers nothing.
      const publications = history.length > 0 && !(epoch === this.epoch && offset === history.length) ? history.slice(-1) : [];
      return { ...position, offset: history.length, was_recovering: true, recovered: history.length > 0, publications };
    }
    if (recover !== true) {
      return { ...position, offset: history.length, publications: this.keepsNewest ? history.slice(-1) : [] };
    }
    // Without an epoch the server takes any, as for the beginning of a channel.
    if ((epoch && epoch !== this.epoch) || offset > history.length || offset < history.length - this.size) {
      return { ...position, offset: history.length, was_recovering: true };
    }
    return { ...position, offset, was_recovering: true, recovered: true, publications: history.slice(offset) };
  }
}
