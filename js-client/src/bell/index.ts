/** `djangoinstant/bell`: the bell, for pages that a bundler makes. */
import type { Instant } from "../instant.js";
import type { Push, PushOptions } from "../push/index.js";
import { defineBell as define, type BellTexts } from "./element.js";
import type { BellUrls } from "./inbox.js";

export type { BellTexts, BellUrls, Push, PushOptions };
export type { PushPermission, PushUrls } from "../push/index.js";

/** What the bell asks, says and offers. */
export interface BellOptions {
  readonly urls: BellUrls;
  readonly texts: BellTexts;
  /** Where the site has web push: its public key, and the views. */
  readonly push?: PushOptions;
}

/** Defines `<instant-bell>`: how many notifications the user hasn't read, and on a click which. */
export function defineBell(instant: Instant, { urls, texts, push }: BellOptions): void {
  define(
    instant,
    urls,
    texts,
    push && { key: push.key, load: () => loadPush(push) },
  );
}

/** Loads what lets this browser be notified while no page is open, for a switch of your own. */
export async function loadPush(options: PushOptions): Promise<Push> {
  return new (await import("../push/index.js")).Push(options);
}
