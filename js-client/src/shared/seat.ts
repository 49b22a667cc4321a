import type { Config } from "../config.js";
import type { Connection } from "../connection.js";
import { createId } from "../tab.js";
import { Berths } from "./berths.js";
import { Hub } from "./hub.js";
import type { Member, Port } from "./member.js";
import { Tether } from "./tether.js";
import type { Claims } from "./wire.js";

/** Milliseconds after which a page that uses no connection does not wait for its turn any more, and leaves it to another. */
const UNUSED = 10_000;

/** What tabs tell all others. The names stay as they are: another tab may have another script. */
interface Word {
  /** A tab has the connection from now on. */
  readonly leader?: string;
  /** A tab wants to use it. */
  readonly join?: string;
}

/** A page's place among the tabs that share a connection: it has the connection, or a line to the tab that has it. */
export class Seat {
  readonly group: string;
  readonly #url: string;
  readonly #user: Claims | undefined;
  readonly #connection: Connection;
  readonly #config: Pick<Config, "timeout" | "sizeLimit" | "WebSocket">;
  readonly #bus: BroadcastChannel;
  #isGone = false;
  #end: Port | undefined;
  /** What the SDK has, if this tab has the connection. */
  #hub: Hub | undefined;
  #berths: Berths | undefined;
  #member: Member | undefined;
  #tether: Tether | undefined;
  /** Withdraws from the queue for the connection's lock, or gives it back. */
  #resign: () => void = () => undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;

  constructor(
    group: string,
    url: string,
    user: Claims | undefined,
    connection: Connection,
    config: Pick<Config, "timeout" | "sizeLimit" | "WebSocket">,
  ) {
    this.group = group;
    this.#url = url;
    this.#user = user;
    this.#connection = connection;
    this.#config = config;
    this.#bus = new BroadcastChannel(group);
    this.#bus.onmessage = ({ data }) => {
      this.#hear(data as Word);
    };
    this.#queue();
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Connects an end of the page's SDK. */
  attach(end: Port): void {
    clearTimeout(this.#patience);
    this.#end = end;
    if (this.#hub) {
      this.#member = this.#hub.add(end, true);
      return;
    }
    const tether = (this.#tether = new Tether(
      this.group,
      end,
      () => {
        this.#tell({ join: tether.id });
      },
      () => {
        this.#queue(true);
      },
    ));
  }

  send(frame: string): void {
    if (this.#hub && this.#member) this.#hub.receive(this.#member, frame);
    else this.#tether?.send(frame);
  }

  /** The page's end is closed: by the page, by the server or by the network. Most often the page tries again. */
  detach(end: Port): void {
    if (end !== this.#end) return;
    this.#drop();
    this.#wait();
  }

  /** Gives everything up, because the page is closed or frozen. Returns the end that is open now. */
  leave(): Port | undefined {
    const end = this.#end;
    this.#isGone = true;
    clearTimeout(this.#patience);
    this.#resign();
    this.#drop();
    this.#unlead();
    this.#bus.close();
    return end;
  }

  /** Other tabs need one that renews the connection. */
  #wait(): void {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => {
      this.leave();
    }, UNUSED);
  }

  #drop(): void {
    this.#end = undefined;
    this.#tether?.close();
    this.#tether = undefined;
    if (this.#member) this.#hub?.remove(this.#member);
    this.#member = undefined;
  }

  #unlead(): void {
    this.#berths?.close();
    this.#hub?.close();
    this.#hub = this.#berths = undefined;
  }

  #tell(word: Word): void {
    if (!this.#isGone) this.#bus.postMessage(word);
  }

  #hear({ leader, join }: Word): void {
    if (join) this.#berths?.take(join);
    if (!leader || this.#hub || !this.#tether) return;
    if (!this.#tether.leader) this.#tell({ join: this.#tether.id });
    else if (this.#tether.leader !== leader) this.#restart();
  }

  /** Waits for its turn, or takes it from a tab that doesn't run. */
  #queue(steal = false): void {
    this.#resign();
    const waiting = new AbortController();
    let release: () => void = () => undefined;
    this.#resign = () => {
      waiting.abort();
      release();
    };
    const lead = (): Promise<void> | undefined => {
      if (waiting.signal.aborted) return undefined;
      this.#lead();
      return new Promise((resolve) => {
        release = resolve;
      });
    };
    navigator.locks.request(this.group, steal ? { steal } : { signal: waiting.signal }, lead).catch((error: unknown) => {
      if (waiting.signal.aborted || this.#isGone) return;
      // A page that may have no locks, because it may store nothing, has its own connection.
      if ((error as Error).name !== "AbortError") {
        this.#lead();
        return;
      }
      // Another tab has taken the connection, because this one did not run for a while.
      this.#unlead();
      this.#member = undefined;
      this.#queue();
      if (this.#end) this.#restart();
    });
  }

  #lead(): void {
    const leader = createId();
    const hub = (this.#hub = new Hub(this.#url, this.#user, this.#config));
    this.#berths = new Berths(this.group, leader, hub);
    this.#tell({ leader });
    const end = this.#end;
    if (!end) return;
    const isOpen = Boolean(this.#tether?.leader);
    this.#tether?.close();
    this.#tether = undefined;
    // What waited for a leader finds it here; what had another has to recover.
    if (isOpen) this.#restart();
    else this.attach(end);
  }

  /** Connects the page anew, at once: the SDK recovers what it missed. */
  #restart(): void {
    this.#connection.grants.expire();
    this.#connection.restart();
  }
}
