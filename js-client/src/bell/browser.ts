/** The entry point of the bell's script, which `{% instant_bell %}` loads. */
import type { Instant } from "../instant.js";
import { defineBell, type BellTexts } from "./element.js";
import type { BellUrls } from "./inbox.js";

const { instant } = window as { instant?: Instant };
const json = (document.currentScript as HTMLScriptElement | null)?.dataset["instantBell"];
if (instant && json) {
  const { urls, texts } = JSON.parse(json) as { urls: BellUrls; texts: BellTexts };
  defineBell(instant, urls, texts);
} else {
  // eslint-disable-next-line no-console
  console.error("<instant-bell> needs {% instant_script %} before {% instant_bell %}.");
}
