/** Checked by `npm run check`: each `@ts-expect-error` must be an error there. */
import { expectTypeOf, test } from "vitest";

import type { Channel, Instant, InstantMessage, Status } from "../src/index.js";

declare module "../src/types.js" {
  interface InstantEvents {
    "types-test-shipped": { readonly order: number };
  }
}

test("payloads are typed by event class, else by channel, else unknown", () => {
  const check = (instant: Instant, order: Channel<{ readonly status: string }>): void => {
    instant.channel("a").on("types-test-shipped", ({ data }) => {
      expectTypeOf(data).toEqualTypeOf<{ readonly order: number }>();
    });
    instant.channel("a").on("anything", ({ data }) => {
      expectTypeOf(data).toBeUnknown();
    });
    order.on("*", (message) => {
      expectTypeOf(message).toEqualTypeOf<InstantMessage<{ readonly status: string }>>();
      expectTypeOf(message.offset).toEqualTypeOf<number | undefined>();
    });
    instant.on("status", (status) => {
      expectTypeOf(status).toEqualTypeOf<Status>();
    });
    // @ts-expect-error there is no such event
    instant.on("nothing", () => undefined);
    // @ts-expect-error the payload has no such field
    instant.channel("a").on("types-test-shipped", ({ data }) => String(data.price));
    // @ts-expect-error a status is read only
    instant.status = "live";
  };
  expectTypeOf(check).toBeFunction();
});
