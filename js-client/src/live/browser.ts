/** The entry point of the script of pages without JavaScript of their own. */
import type { Instant } from "../instant.js";
import { watchEdits } from "./edited.js";
import { remember } from "./morph.js";
import { defineSource } from "./source-element.js";

const { instant } = window as { instant?: Instant };
if (instant) {
  // Turbo may run it again.
  if (!customElements.get("instant-source")) {
    watchEdits();
    remember(document);
    defineSource(instant);
  }
} else {
  // eslint-disable-next-line no-console
  console.error("<instant-source> needs {% instant_script %} before it.");
}
