import type { Centrifuge, TransportEndpoint } from "centrifuge";

import type { Config } from "./config.js";
import { ConfigError } from "./errors.js";
import { lastTransport, setLastTransport } from "./last-transport.js";
import { byteLength, split } from "./size.js";

/** The SDK's error code for a connection that closed before the server answered. */
const CONNECTION_CLOSED = 11;
/** Its code for a closed transport. After this one, and after a timeout (1), it tries the next transport at once. */
const TRANSPORT_CLOSED = 2;
const EMULATION = "/emulation";

/** Private fields of the SDK: how far it has got with its list of endpoints. */
interface Progress {
  _transportWasOpen: boolean;
  _triedAllTransports: boolean;
  _currentTransportIndex: number;
}

/**
 * The transports to try: WebSocket with every address, then HTTP-streaming, then SSE.
 *
 * The SDK goes through its endpoints until one works, and then uses only that one, although a laptop may
 * move to a network that blocks WebSockets, and a server may go away. So before each attempt we reset
 * three private fields of the SDK. Then it starts with the endpoint that worked last, tries the others at
 * once, and waits only before the next round. `test/sdk.test.ts` fails when a field is gone; without the
 * fields the SDK would do what it does by itself.
 */
export class Transports {
  /** The list that the SDK was given. It keeps this array, so that changes reach it. */
  readonly endpoints: TransportEndpoint[] = [];
  /** Options for the SDK. */
  readonly options;
  readonly #config: Config;
  /** The endpoint that is stored for the tab's next pages, `""` for none. */
  #stored = lastTransport();
  /** The SDK does not accept an empty list, so this stands for the first address. */
  #urls: readonly string[] = ["ws:websocket"];
  /** The endpoint that worked last, `""` if none did. */
  last = this.#stored;

  constructor(config: Config) {
    this.#config = config;
    const { EventSource, fetch } = config;
    let emulation = "";
    const pass = (url: string): string => {
      emulation = url.replace(/\/connection\/.*/, EMULATION);
      return url;
    };
    // The SDK calls these two with `new`, so arrow functions would not do.
    this.options = {
      websocket: function socket(url: string) {
        const socket = new config.WebSocket(url);
        const send = socket.send.bind(socket);
        socket.send = (frame) => {
          for (const part of split(frame as string, (text) => byteLength(text) < config.sizeLimit)) send(part);
        };
        return socket;
      },
      eventsource:
        EventSource &&
        function source(url: string) {
          return new EventSource(pass(url));
        },
      // The SDK has one address for commands, so it is replaced by that of the server in use.
      fetch: async (url: string, init: RequestInit) => {
        if (url !== EMULATION) return fetch(pass(url), init);
        const request = JSON.parse(init.body as string) as { readonly data: string };
        const body = (data: string): string => JSON.stringify({ ...request, data });
        // The first response that is no success tells the SDK what to do.
        let response: Response | undefined;
        for (const data of split(request.data, (text) => byteLength(body(text)) < config.sizeLimit)) {
          if (!response || response.ok) response = await fetch(emulation, { ...init, body: body(data) });
        }
        return response as Response;
      },
      emulationEndpoint: EMULATION,
    };
    this.#list();
  }

  /** Sets the addresses of the message server. Throws `ConfigError` if there are none. */
  setUrls(urls: readonly string[]): void {
    if (!urls[0]) throw new ConfigError("Django named no message server. Set the option websocketUrl.");
    this.#urls = urls;
    this.#list();
  }

  /** Returns the endpoint that is tried next. */
  next(client: Centrifuge): string {
    return this.endpoints[(client as unknown as Progress)._currentTransportIndex]?.endpoint ?? "";
  }

  /** Lets the next attempt be one with a WebSocket, if there is any. */
  tryWebSocket(client: Centrifuge): void {
    const index = this.endpoints.findIndex(({ transport }) => transport === "websocket");
    if (index >= 0) this.#prepare(client as unknown as Progress, index);
  }

  /** Called when the page is connected. The next connection starts with this endpoint. */
  connected(client: Centrifuge): void {
    this.last = this.next(client);
    // The first choice need not be stored.
    this.#store(this.last === this.#inOrder()[0]?.endpoint ? "" : this.last);
  }

  /** Called before a connection: starts with the first endpoint of the list. */
  restart(client: Centrifuge): void {
    this.#list();
    this.#prepare(client as unknown as Progress, 0);
  }

  /** Called when an attempt has failed. Returns true if no other endpoint is tried at once. */
  failed(client: Centrifuge, code: number): boolean {
    const sdk = client as unknown as Progress;
    // The stored endpoint was tried first.
    this.#store("");
    // The SDK takes a socket for working once it has opened, even if no answer came.
    const index = (sdk._currentTransportIndex + (code === CONNECTION_CLOSED ? 1 : 0)) % this.endpoints.length;
    this.#prepare(sdk, index);
    return index === 0 || code > TRANSPORT_CLOSED;
  }

  /** Stores the endpoint, unless it is stored already: that would extend its time. */
  #store(endpoint: string): void {
    if (endpoint !== this.#stored) setLastTransport((this.#stored = endpoint));
  }

  #prepare(sdk: Progress, index: number): void {
    sdk._currentTransportIndex = index;
    sdk._transportWasOpen = false;
    sdk._triedAllTransports = index === 0;
  }

  /** All endpoints, in the order of choice. */
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
    const rank = ({ endpoint }: TransportEndpoint): number => (endpoint === this.last ? 0 : 1);
    this.endpoints.splice(0, Infinity, ...this.#inOrder().sort((one, other) => rank(one) - rank(other)));
  }
}
