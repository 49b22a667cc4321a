import { afterEach, beforeEach, expect, vi } from "vitest";
import { WebSocket } from "ws";

import { createInstant, type Instant } from "../src/instant.js";
import { type InstantClient, useInstant } from "../src/legacy.js";
import type { InstantOptions, WebSocketConstructor } from "../src/options.js";
import type { InstantMessage, Status } from "../src/types.js";
import { FakeCentrifugo } from "./fake-centrifugo.js";
import { FakeDjango } from "./fake-django.js";

/** A Django and a message server, and the pages that a test opens. New for each test. */
export interface Site {
  readonly centrifugo: FakeCentrifugo;
  readonly django: FakeDjango;
  readonly options: InstantOptions;
  instant(options?: InstantOptions): Instant;
  client(): InstantClient;
}

/** Starts a site before each test of the file, and stops it afterwards. */
export function useSite(): Site {
  let centrifugo: FakeCentrifugo;
  let django: FakeDjango;
  let closers: (() => void)[] = [];

  beforeEach(async () => {
    centrifugo = await FakeCentrifugo.start();
    django = await FakeDjango.start(centrifugo.url);
    closers = [];
  });
  afterEach(async () => {
    for (const close of closers) close();
    vi.unstubAllGlobals();
    vi.useRealTimers();
    await Promise.all([centrifugo.stop(), django.stop()]);
  });

  const shared = (): InstantOptions => ({
    WebSocket: WebSocket as unknown as WebSocketConstructor,
    reconnectDelay: [5, 20],
    timeout: 2000,
  });
  return {
    get centrifugo() {
      return centrifugo;
    },
    get django() {
      return django;
    },
    get options() {
      return { ...shared(), backend: django.url };
    },
    instant(options) {
      const instant = createInstant({ ...this.options, ...options });
      closers.push(() => {
        instant.disconnect();
      });
      return instant;
    },
    client() {
      const client = useInstant(shared());
      closers.push(() => client.getClient()?.disconnect());
      return client;
    },
  };
}

/** Waits until `assertion` passes. */
export function soon(assertion: () => void): Promise<void> {
  return vi.waitFor(assertion, { interval: 2, timeout: 15_000 });
}

export async function until(instant: Instant, status: Status): Promise<void> {
  await soon(() => {
    expect(instant.status).toBe(status);
  });
}

/** Collects messages. */
export class Inbox {
  readonly messages: InstantMessage[] = [];
  readonly add = (message: InstantMessage): void => {
    this.messages.push(message);
  };

  get texts(): string[] {
    return this.messages.map(({ message }) => message);
  }

  async holds(...texts: string[]): Promise<void> {
    await soon(() => {
      expect(this.texts).toEqual(texts);
    });
  }
}
