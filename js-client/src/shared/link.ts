import type { Connection } from "../connection.js";
import type { WebSocketConstructor } from "../options.js";
import type { Port } from "./member.js";
import { Seat } from "./seat.js";
import { claimsOf } from "./wire.js";

/** Part of the names of locks and channels: tabs with a script that speaks otherwise have their own connection. */
const VERSION = "instant 2";
const OPEN = 1;
const CLOSED = 3;

interface Browser {
  readonly navigator?: { readonly locks?: LockManager };
  readonly BroadcastChannel?: typeof BroadcastChannel;
  readonly document?: Document;
  readonly addEventListener?: typeof addEventListener;
}

/** What a connection of the SDK to the message server looks like: private, see `test/sdk.test.ts`. */
interface Sdk {
  readonly _token: string;
}

/** Lets the page share its connection. Does nothing where the browser has no locks: then it has its own. */
export function share(connection: Connection): void {
  const { config } = connection;
  const { navigator: browser, BroadcastChannel: channels, document: page, addEventListener: listen } = globalThis as Browser;
  const { WebSocket, timeout, sizeLimit } = config;
  config.shared = false;
  if (!browser?.locks || !channels) return;
  let seat: Seat | undefined;

  /** Returns the page's place among the tabs of the same user, `undefined` if nobody knows who that is. */
  const seatFor = (url: string): Seat | undefined => {
    const user = claimsOf((connection.client as unknown as Sdk | undefined)?._token);
    if (!user) return undefined;
    // What Python noted for the connection (`meta`) would be that of another tab.
    const group = `${VERSION} ${JSON.stringify([url, user.sub, user.aud, user.meta])}`;
    if (seat?.group !== group) seat?.leave();
    try {
      if (seat?.group !== group || seat.isGone) seat = new Seat(group, url, user, connection, { WebSocket, timeout, sizeLimit });
    } catch {
      // A page that may store nothing may have no channels either.
      return undefined;
    }
    return seat;
  };

  /** Takes the place of a WebSocket. */
  class Link implements Port {
    readyState = 0;
    onopen: (() => void) | undefined;
    onmessage: ((event: { data: string }) => void) | undefined;
    onclose: ((event: { code: number; reason: string }) => void) | undefined;
    readonly #seat: Seat;

    constructor(place: Seat) {
      this.#seat = place;
      // The SDK sets its handlers first.
      queueMicrotask(() => {
        if (!this.isClosed) place.attach(this);
      });
    }

    get isClosed(): boolean {
      return this.readyState === CLOSED;
    }

    send(frame: string): void {
      if (!this.isClosed) this.#seat.send(frame);
    }

    close(): void {
      if (this.isClosed) return;
      this.readyState = CLOSED;
      this.#seat.detach(this);
    }

    open(): void {
      if (this.isClosed || this.readyState === OPEN) return;
      this.readyState = OPEN;
      this.onopen?.();
    }

    frame(data: string): void {
      if (!this.isClosed) this.onmessage?.({ data });
    }

    end(code: number, reason: string): void {
      if (this.isClosed) return;
      this.readyState = CLOSED;
      this.#seat.detach(this);
      this.onclose?.({ code, reason });
    }
  }

  const leave = (): Port | undefined => {
    const end = seat?.leave();
    seat = undefined;
    return end;
  };
  // A page in the back/forward cache can neither hold a lock nor answer; the SDK closes its end by itself.
  listen?.("pagehide", leave);
  // Nor does a frozen one run. It connects again when it does.
  page?.addEventListener("freeze", () => {
    leave()?.end(0, "");
  });
  config.WebSocket = function socket(url: string) {
    const place = seatFor(url);
    return place ? new Link(place) : new WebSocket(url);
  } as unknown as WebSocketConstructor;
}
