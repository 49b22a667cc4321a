import type { Config } from "../config.js";
import { byteLength } from "../size.js";
import { Member, type Port } from "./member.js";
import { Publications } from "./publications.js";
import { Topic, type Server } from "./topic.js";
import { Upstream } from "./upstream.js";
import { claimsOf, without, type Claims, type Command, type ConnectResult, type Push, type Reply } from "./wire.js";

/** The code with which the server closes a connection for a token that is not its user's, and that for a message that is too large. */
const INVALID_TOKEN = 3500;
const TOO_LARGE = 1009;
/** Stands for the number that a command gets here. */
const LONG_ID = 2 ** 31;

interface Connect {
  readonly member: Member;
  readonly id: number;
  readonly connect: object;
}

/**
 * The browser's one connection, in one of its tabs. Each tab speaks with it as with the message server: the
 * commands of all go over the connection, a channel is subscribed to once, and what comes of it goes to all who
 * have it.
 */
export class Hub implements Server {
  readonly #url: string;
  readonly #user: Claims | undefined;
  readonly #config: Pick<Config, "timeout" | "sizeLimit" | "WebSocket">;
  readonly #members = new Set<Member>();
  readonly #topics = new Map<string, Topic>();
  readonly #publications = new Publications();
  #upstream: Upstream | undefined;
  #isOpen = false;
  #connected: ConnectResult | undefined;
  #connects: Connect[] = [];
  #isConnecting = false;
  /** When the connection ends, if it does and nobody renews it. */
  #expires = 0;
  #number = 0;

  constructor(url: string, user: Claims | undefined, config: Pick<Config, "timeout" | "sizeLimit" | "WebSocket">) {
    this.#url = url;
    this.#user = user;
    this.#config = config;
  }

  /** Adds a tab, which is told when it may connect. */
  add(port: Port, isOwn = false): Member {
    const member = new Member(port, ++this.#number, isOwn);
    this.#members.add(member);
    if (this.#isOpen) member.open();
    else if (!this.#upstream) this.#open();
    return member;
  }

  /** A tab sends commands. */
  receive(member: Member, frame: string): void {
    for (const line of frame.split("\n")) if (line && this.#members.has(member)) this.#command(member, line);
  }

  /** A tab closes its connection, or is gone. Without any, the connection is closed. */
  remove(member: Member): void {
    if (!this.#members.delete(member)) return;
    this.#connects = this.#connects.filter((one) => one.member !== member);
    for (const topic of [...this.#topics.values()]) topic.leave(member);
    if (this.#members.size === 0) this.close();
  }

  /** Closes the connection, and tells no tab. */
  close(): void {
    this.#upstream?.close();
    this.#upstream = this.#connected = undefined;
    this.#isOpen = this.#isConnecting = false;
    this.#connects = [];
    this.#members.clear();
    for (const topic of this.#topics.values()) topic.stop();
    this.#topics.clear();
  }

  call(command: Command, answered: (reply: Reply, line: string) => void): void {
    this.#upstream?.call(command, answered, true);
  }

  unsubscribe(channel: string): void {
    this.#upstream?.call({ unsubscribe: { channel } }, () => undefined);
  }

  ended(topic: Topic): void {
    this.#topics.delete(topic.name);
  }

  #open(): void {
    const { WebSocket } = this.#config;
    const closed = (code: number, reason: string): void => {
      const members = [...this.#members];
      this.close();
      for (const member of members) member.end(code, reason);
    };
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.#url);
    } catch {
      // A tab that is just being added hears it like the others.
      queueMicrotask(() => {
        closed(0, "");
      });
      return;
    }
    const opened = (): void => {
      this.#isOpen = true;
      for (const member of this.#members) member.open();
    };
    const pushed = (push: Push, line: string): void => {
      if (push.disconnect) {
        this.#upstream?.close();
        closed(push.disconnect.code, push.disconnect.reason);
      } else this.#push(push, line);
    };
    this.#upstream = new Upstream(socket, { opened, pushed, closed }, this.#config);
  }

  #command(member: Member, line: string): void {
    const { id = 0, ...command } = JSON.parse(line) as Command;
    const { connect, subscribe, unsubscribe, sub_refresh: renewal, publish } = command;
    if (connect) {
      this.#connects.push({ member, id, connect });
      this.#connect();
      return;
    }
    if (!member.isConnected) {
      member.waiting.push(line);
      return;
    }
    const token = subscribe?.token ?? renewal?.token;
    if (token && this.#user && (claimsOf(token)?.sub ?? this.#user.sub) !== this.#user.sub) {
      // The server would end the connection, and with it that of all others.
      this.remove(member);
      member.end(INVALID_TOKEN, "invalid token");
    } else if (byteLength(JSON.stringify({ ...command, id: LONG_ID })) >= this.#config.sizeLimit) {
      this.remove(member);
      member.end(TOO_LARGE, "");
    } else if (subscribe) {
      this.#topic(subscribe.channel).subscribe(member, id, subscribe);
    } else if (unsubscribe) {
      this.#topics.get(unsubscribe.channel)?.leave(member);
      member.line(JSON.stringify({ id, unsubscribe: {} }));
    } else if (id) {
      const refused = publish && this.#publications.sends(member, publish.channel, publish.data);
      this.#upstream?.call(command, (reply) => {
        if (reply.error) refused?.();
        else if (renewal) this.#topics.get(renewal.channel)?.renewed(member, reply.sub_refresh?.ttl ?? 0);
        else if (reply.refresh) this.#expires = Date.now() + (reply.refresh.ttl ?? 0) * 1000;
        if (this.#members.has(member)) member.line(JSON.stringify({ ...reply, id }));
      });
    } else this.#upstream?.send(command);
  }

  #topic(name: string): Topic {
    const topic = this.#topics.get(name) ?? new Topic(name, this);
    this.#topics.set(name, topic);
    return topic;
  }

  /** Answers who wants to connect. The first ask the server, until one of them may. */
  #connect(): void {
    while (!this.#isConnecting) {
      const first = this.#connects.shift();
      if (!first) return;
      const { member, id, connect } = first;
      if (this.#connected) {
        this.#admit(member, id, this.#connected);
        continue;
      }
      this.#isConnecting = true;
      this.call({ connect }, ({ connect: result, error }) => {
        this.#isConnecting = false;
        this.#connected = result;
        if (result) this.#upstream?.watch(result.ping, result.pong);
        this.#expires = Date.now() + (result?.ttl ?? 0) * 1000;
        if (this.#members.has(member)) {
          if (result) this.#admit(member, id, result);
          else member.line(JSON.stringify({ id, error }));
        }
        this.#connect();
      });
    }
  }

  /** Its pings are answered here, and it is renewed by one tab. */
  #admit(member: Member, id: number, result: ConnectResult): void {
    const client = `${result.client}:${String(member.number)}`;
    const ttl = Math.max(1, Math.ceil((this.#expires - Date.now()) / 1000));
    const connect = {
      ...without(result, "ping", "pong", "expires", "ttl"),
      client,
      ...(member.isOwn && result.expires && { expires: true, ttl }),
    };
    member.isConnected = true;
    member.line(JSON.stringify({ id, connect }));
    this.receive(member, member.waiting.splice(0).join("\n"));
  }

  #push(push: Push, line: string): void {
    const { channel, pub } = push;
    const topic = channel === undefined ? undefined : this.#topics.get(channel);
    if (!topic || channel === undefined) {
      // It is for the connection, or the server's own idea; the SDK knows.
      for (const member of this.#members) member.push(line);
    } else if (pub) {
      const sender = pub.info?.client === this.#connected?.client && this.#publications.sender(channel, pub);
      if (sender && pub.info) {
        const info = { ...pub.info, client: `${pub.info.client}:${String(sender.number)}` };
        const named = { ...pub, info };
        topic.publish(named, JSON.stringify({ push: { channel, pub: named } }));
      } else topic.publish(pub, line);
    } else if (push.unsubscribe) topic.end(line);
    else topic.tell(line);
  }
}
