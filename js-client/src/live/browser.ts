/** The entry point of the script of pages without JavaScript of their own. */
import type { Instant } from "../instant.js";
import { watchEdits } from "./edited.js";
import { defineFragment, styleFragments } from "./fragment-element.js";
import { defineList } from "./list-element.js";
import { liveList } from "./live-list.js";
import { given } from "./morph.js";
import { defineSource } from "./source-element.js";

/** What `{% live %}` and its like say with the script. */
interface Site {
  readonly urls: { readonly fragments: string };
  readonly life: number;
}

const { instant } = window as { instant?: Instant };
const json = (document.currentScript as HTMLScriptElement | null)?.dataset["instantLive"];
if (instant) {
  // Turbo may run it again.
  if (!customElements.get("instant-source")) {
    watchEdits();
    given.remember(document);
    defineSource(instant);
    if (json) {
      const { urls, life } = JSON.parse(json) as Site;
      styleFragments();
      defineFragment(instant, { url: urls.fragments, life });
    }
    defineList(instant);
    Object.assign((window as { $instant?: object }).$instant ?? {}, { liveList });
  }
} else {
  // eslint-disable-next-line no-console
  console.error("<instant-source> needs {% instant_script %} before it.");
}
