import type { Centrifuge, TransportEndpoint } from "centrifuge";

import type { Config } from "./config.js";
import { ConfigError } from "./errors.js";
import { lastTransport, setLastTransport } from "./last-transport.js";

/** The SDK's error for a connection that ended before its answer. */
const CONNECTION_CLOSED = 11;
/** Its error for a transport that closed: after this one, and a timeout (1), it tries another way at once. */
const TRANSPORT_CLOSED = 2;
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
 * may move to a network that lets no WebSocket through, and a server may go away. So before each attempt
 * it is told that nothing worked yet: it begins with what worked last, tries the others at once in their
 * order, and waits only before it begins anew. These are private fields of the SDK, and tests watch
 * them; were they to go, the SDK would stay with its first success, as it does without us.
 */
export class Transports {
  /** The SDK's list. It keeps this very array, so that changes reach it. */
  readonly endpoints: TransportEndpoint[] = [];
  /** Options for the SDK. */
  readonly options;
  readonly #config: Config;
  /** What the tab's next pages begin with, `""` for the first choice. */
  #stored = lastTransport();
  /** The SDK wants one from the beginning. */
  #urls: readonly string[] = ["ws:websocket"];
  #last = this.#stored;

  constructor(config: Config) {
    this.#config = config;
    const { WebSocket, EventSource, fetch } = config;
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
    this.#list();
  }

  /** Goes where Django says, or the page. Throws `ConfigError` when nobody does. */
  setUrls(urls: readonly string[]): void {
    if (!urls[0]) throw new ConfigError("No websocketUrl");
    this.#urls = urls;
    this.#list();
  }

  /** Connected: the next connection begins with this way. */
  connected(client: Centrifuge): void {
    this.#last = this.endpoints[(client as unknown as Progress)._currentTransportIndex]?.endpoint ?? "";
    // The first choice needs no memory.
    this.#store(this.#last === this.#inOrder()[0]?.endpoint ? "" : this.#last);
  }

  /** A connection begins. */
  restart(client: Centrifuge): void {
    this.#list();
    this.#prepare(client as unknown as Progress, 0);
  }

  /** An attempt failed; true when there is no other way to try at once. */
  failed(client: Centrifuge, code: number): boolean {
    const sdk = client as unknown as Progress;
    // What was kept was tried first.
    this.#store("");
    // It opened and died without an answer, which the SDK takes for something that works.
    const index = (sdk._currentTransportIndex + (code === CONNECTION_CLOSED ? 1 : 0)) % this.endpoints.length;
    this.#prepare(sdk, index);
    return index === 0 || code > TRANSPORT_CLOSED;
  }

  /** Not again what is kept already: it would live longer each time. */
  #store(endpoint: string): void {
    if (endpoint !== this.#stored) setLastTransport((this.#stored = endpoint));
  }

  #prepare(sdk: Progress, index: number): void {
    sdk._currentTransportIndex = index;
    sdk._transportWasOpen = false;
    sdk._triedAllTransports = index === 0;
  }

  /** All ways, in the order of choice. */
  #inOrder(): TransportEndpoint[] {
    return this.#config.transports.flatMap((transport) =>
      this.#urls.flatMap((url) => {
        const endpoint = url.replace(/^ws(.*)websocket$/, `http$1${transport}`);
        if (transport === "websocket") return { transport, endpoint: url };
        return endpoint === url ? [] : { transport, endpoint };
      }),
    );
  }

  #list(): void {
    const rank = ({ endpoint }: TransportEndpoint): number => (endpoint === this.#last ? 0 : 1);
    this.endpoints.splice(0, Infinity, ...this.#inOrder().sort((one, other) => rank(one) - rank(other)));
  }
}
