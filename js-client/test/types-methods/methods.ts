/** Compiled by `npm run check`, never run: a page whose methods are declared. */
import { expectTypeOf } from "vitest";

import type { Instant } from "djangoinstant";
import { useRpc } from "djangoinstant/react";
import { useRpc as useSvelteRpc } from "djangoinstant/svelte";
import { useRpc as useVueRpc } from "djangoinstant/vue";

declare module "djangoinstant" {
  interface InstantMethods {
    "cart.add": { arguments: { product: number; quantity?: number }; result: { total: number } };
    now: { arguments: undefined; result: string };
    search: { arguments: { text?: string }; result: unknown };
    [method: `report.${string}`]: { arguments: unknown; result: unknown };
  }
}

declare const instant: Instant;

expectTypeOf(instant.rpc("cart.add", { product: 7 })).resolves.toEqualTypeOf<{ total: number }>();
expectTypeOf(instant.rpc("cart.add", { product: 7 }, { timeout: 5 })).resolves.toEqualTypeOf<{ total: number }>();
expectTypeOf(instant.rpc("now")).resolves.toBeString();
expectTypeOf(instant.rpc("search")).resolves.toBeUnknown();
expectTypeOf(instant.rpc("search", { text: "a" })).resolves.toBeUnknown();
expectTypeOf(instant.rpc("report.build", { year: 2026 })).resolves.toBeUnknown();
// @ts-expect-error it needs a product
void instant.rpc("cart.add");
// @ts-expect-error it takes no such argument
void instant.rpc("cart.add", { product: 7, size: 1 });
// @ts-expect-error the product is a number
void instant.rpc("cart.add", { product: "7" });
// @ts-expect-error there is no such method
void instant.rpc("cart.ad", { product: 7 });
// @ts-expect-error it takes nothing
void instant.rpc("now", { year: 2026 });

// Hooks.
const add = useRpc("cart.add");
expectTypeOf(add.call({ product: 7 })).resolves.toEqualTypeOf<{ total: number }>();
expectTypeOf(add.result).toEqualTypeOf<{ total: number } | undefined>();
expectTypeOf(useVueRpc("cart.add").state.value.result).toEqualTypeOf<{ total: number } | undefined>();
expectTypeOf(useVueRpc("now").call()).resolves.toBeString();
expectTypeOf(useSvelteRpc("cart.add").current.result).toEqualTypeOf<{ total: number } | undefined>();
// @ts-expect-error it needs a product
void add.call();
// @ts-expect-error there is no such method
useRpc("cart.ad");
// @ts-expect-error there is no such method
useVueRpc("cart.ad");
// @ts-expect-error the product is a number
void useSvelteRpc("cart.add").call({ product: "7" });
