import type { Centrifuge, TransportEndpoint } from "centrifuge";

import type { Config } from "./config.js";
import { ConfigError } from "./errors.js";

/** Stands for the address until Django has said it. */
const UNKNOWN = "ws://told-by-django.invalid/connection/websocket";
const EMULATION = "/emulation";

/** The SDK's own words for where it stands among its endpoints. */
interface Progress {
  _transportWasOpen: boolean;
  _triedAllTransports: boolean;
  _currentTransportIndex: number;
}

/**
 * Where and how to connect: every address by WebSocket, then by HTTP-streaming, then by SSE.
 *
 * The SDK goes through its endpoints until one works and then stays there for ever, though a laptop
 * may move to a network that lets no WebSocket through, and a server may go away. So it is told before
 * each attempt that nothing worked yet: it begins with what worked last, tries the others at once,
 * and waits only before it begins anew. These are private fields of the SDK, and a test watches them;
 * were they to go, the SDK would stay with its first success, as it does without us.
 */
export class Route {
  /** The SDK's list. It keeps this very array, so that changes reach it. */
  readonly endpoints: TransportEndpoint[] = [];
  /** Options for the SDK. */
  readonly options;
  readonly #config: Config;

  constructor(config: Config) {
    this.#config = config;
    const { WebSocket, EventSource, fetch, websocketUrls } = config;
    let emulation = "";
    const pass = (url: string): string => {
      emulation = url.replace(/\/connection\/.*/, EMULATION);
      return url;
    };
    this.options = {
      websocket: WebSocket,
      // A function, because what the SDK makes with `new` must be the other constructor's object.
      eventsource:
        EventSource &&
        function source(url: string) {
          return new EventSource(pass(url));
        },
      // The SDK has one address for what goes up, however many there are for what comes down.
      fetch: (url: string, init: RequestInit) => fetch(url === EMULATION ? emulation : pass(url), init),
      emulationEndpoint: EMULATION,
    };
    this.#list(websocketUrls.length > 0 ? websocketUrls : [UNKNOWN]);
  }

  /** Goes to where Django says, unless the page says it. Throws `ConfigError` when nobody does. */
  lead(urls: readonly string[]): void {
    if (this.#config.websocketUrls.length > 0) return;
    if (urls.length === 0) throw new ConfigError("Django named no message server: set websocketUrl");
    this.#list(urls);
  }

  /** Before a connection's first attempt, and after each that failed; a new round may have to wait. */
  prepare(client: Centrifuge, isNewRound = (client as unknown as Progress)._currentTransportIndex === 0): void {
    Object.assign(client, { _transportWasOpen: false, _triedAllTransports: isNewRound } satisfies Partial<Progress>);
  }

  #list(urls: readonly string[]): void {
    const endpoints = this.#config.transports.flatMap((transport) =>
      urls.flatMap((url) => {
        const endpoint = url.replace(/^ws(.*)websocket$/, `http$1${transport}`);
        if (transport === "websocket") return { transport, endpoint: url };
        return endpoint === url ? [] : { transport, endpoint };
      }),
    );
    this.endpoints.splice(0, Infinity, ...endpoints);
  }
}
