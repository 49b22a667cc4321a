import { defineElement } from "./element.js";
import type { Instant } from "./instant.js";
import type { StatusTexts } from "./types.js";

/** For pages without `{% instant_script %}`, which brings the texts translated. */
const ENGLISH: StatusTexts = {
  connecting: "Connecting…",
  live: "Connected again.",
  "catching-up": "Catching up…",
  offline: "Not connected. Trying again…",
  "signed-out": "You are signed out.",
};

/**
 * Defines `<instant-status>`, which tells people about a connection that is not live.
 *
 * Its attribute `status` and its text follow `instant.status`: trouble after two seconds of it,
 * the end of trouble and `signed-out` at once. Texts are attributes named like the status, else those
 * given here, else English. Does nothing where there are no custom elements, or when it is there already.
 */
export function defineStatusElement(instant: Instant, texts?: StatusTexts, name?: string): void {
  defineElement(instant, { ...ENGLISH, ...texts }, name);
}
