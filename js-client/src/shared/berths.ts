import { Backlog } from "./backlog.js";
import type { Hub } from "./hub.js";
import type { Port } from "./member.js";
import { lineName, type Down, type Up } from "./tether.js";

/** The lines to the other tabs, in the one that has the connection. */
export class Berths {
  readonly #group: string;
  readonly #leader: string;
  readonly #hub: Hub;
  readonly #over = new AbortController();
  readonly #ids = new Set<string>();

  constructor(group: string, leader: string, hub: Hub) {
    this.#group = group;
    this.#leader = leader;
    this.#hub = hub;
  }

  /** Takes up the tab that has asked for it, once. */
  take(id: string): void {
    if (this.#ids.has(id) || this.#over.signal.aborted) return;
    this.#ids.add(id);
    const name = lineName(this.#group, id);
    const line = new BroadcastChannel(name);
    const gone = new AbortController();
    const backlog = new Backlog();
    const tell = (message: Omit<Down, "leader">): void => {
      if (!gone.signal.aborted) line.postMessage({ ...message, leader: this.#leader });
    };
    tell({});
    const port: Port = {
      open() {
        tell({ open: true });
      },
      frame(frame, pushed) {
        if (pushed && backlog.isFull) {
          // It recovers what it missed, as soon as it has read that it has to.
          port.end(0, "");
          return;
        }
        backlog.add(pushed);
        tell({ frame });
      },
      end(...end) {
        tell({ end });
        leave();
      },
    };
    const member = this.#hub.add(port);
    const leave = (): void => {
      if (gone.signal.aborted) return;
      gone.abort();
      line.close();
      this.#hub.remove(member);
    };
    line.onmessage = ({ data }) => {
      const { to, frame, alive, read } = data as Up;
      if (to !== this.#leader) return;
      if (read) backlog.read(read);
      if (frame) this.#hub.receive(member, frame);
      if (alive) tell({ alive });
    };
    // It is granted when the tab is gone, however that happened.
    navigator.locks.request(name, { signal: gone.signal }, leave).catch(() => undefined);
    this.#over.signal.addEventListener("abort", leave, { signal: gone.signal });
  }

  /** Lets go of all. They hear it from the next leader. */
  close(): void {
    this.#over.abort();
  }
}
