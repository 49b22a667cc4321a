import type { Centrifuge } from "centrifuge";

import { SignedOutError } from "./errors.js";
import { createInstant, type Instant } from "./instant.js";
import type { InstantOptions } from "./options.js";
import type { ChannelInfo } from "./types.js";

/** A message in the format of the client of django-instant 4. */
export interface Message {
  readonly channelName: string;
  readonly site: string;
  /** The text, or `""`. */
  readonly msg: string;
  /** The payload, or `{}`. */
  readonly data: unknown;
  readonly eventClass: string;
  readonly bucket: string;
  /** When it arrived in this page. */
  readonly date: Date;
}

/** The functions that `useInstant()` returns. They need no `this`, so that the object can be destructured. */
export interface InstantClient {
  /**
   * Sets the servers' addresses, by default those of the page, and asks for the user's channels. If nobody
   * is logged in, `channels` stays as it is; that is no error.
   *
   * @param verbose ignored, because this client prints nothing
   */
  readonly init: (backendUrl?: string, websocketsUrl?: string, verbose?: boolean) => Promise<void>;
  /** Logs in to Django. Rejects with `RefusedError` for wrong credentials. */
  readonly login: (username: string, password: string) => Promise<void>;
  /**
   * Connects and, unless `autosub` is false, subscribes to all of `channels`. Resolves when the page is
   * connected. Rejects with `SignedOutError` or `ConnectError`.
   */
  readonly connect: (autosub?: boolean) => Promise<void>;
  /** Subscribes to one channel, or to all of `channels`. */
  readonly subscribe: (channel?: string) => void;
  /** Sets the function that is called with every message. It replaces the one before. */
  readonly onMessage: (listener: (message: Message) => void) => void;
  /** The centrifuge-js client; `undefined` before the first `connect()`. */
  readonly getClient: () => Centrifuge | undefined;
  /** Asks Django for the user's channels again. Rejects with `SignedOutError` if nobody is logged in. */
  readonly getToken: () => Promise<void>;
  /** The same as `getToken`, as the documentation of django-instant 4 named it. */
  readonly get_token: () => Promise<void>;
  /** Resolves after the first `init()`. */
  readonly onReady: Promise<boolean>;
  /** The user's channels, each once; filled by `init`, `login`, `getToken` and `connect`. */
  readonly channels: ReadonlySet<ChannelInfo>;
}

/**
 * Returns the functions of django-instant 4's client. They can be called in any order.
 *
 * `options` are those of `createInstant()`; `init` adds the addresses.
 */
export function useInstant(options: InstantOptions = {}): InstantClient {
  const channels = new Set<ChannelInfo>();
  const joined = new Set<string>();
  let instant: Instant | undefined;
  let listener: (message: Message) => void = () => undefined;
  let isAll = false;
  let isKnown = false;
  let setReady: (ready: boolean) => void;
  const onReady = new Promise<boolean>((resolve) => {
    setReady = resolve;
  });

  const current = (): Instant => (instant ??= createInstant(options));

  const listen = (name: string): void => {
    current()
      .channel(name)
      .on("*", ({ channel: channelName, site, message: msg, data, eventClass, bucket, date }) => {
        listener({ channelName, site, msg, data: data ?? {}, eventClass, bucket, date });
      });
  };

  const join = (name: string): void => {
    if (joined.has(name)) return;
    joined.add(name);
    listen(name);
  };

  const joinAll = (): void => {
    for (const { name } of channels) join(name);
  };

  const remember = (found: readonly ChannelInfo[]): void => {
    channels.clear();
    for (const channel of found) channels.add(channel);
    isKnown = true;
    if (isAll) joinAll();
  };

  const getToken = async (): Promise<void> => {
    remember(await current().channels());
  };

  return {
    async init(backend, websocketUrl) {
      if (backend ?? websocketUrl) {
        // A later call with other addresses leaves the first servers and keeps the channels.
        instant?.disconnect();
        instant = createInstant({ ...options, ...(backend && { backend }), ...(websocketUrl && { websocketUrl }) });
        isKnown = false;
        joined.forEach(listen);
      }
      try {
        await getToken();
      } catch (error) {
        if (!(error instanceof SignedOutError)) throw error;
      }
      setReady(true);
    },
    async login(username, password) {
      remember(await current().login(username, password));
    },
    async connect(autosub = true) {
      isAll ||= autosub;
      if (!isKnown) await getToken();
      if (autosub) joinAll();
      await current().connect();
    },
    subscribe(channel) {
      if (channel) {
        join(channel);
      } else {
        isAll = true;
        joinAll();
      }
    },
    onMessage(call) {
      listener = call;
    },
    getClient: () => instant?.getClient(),
    getToken,
    get_token: getToken,
    onReady,
    channels,
  };
}
