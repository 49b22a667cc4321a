/** The entry point of the script of `<instant-stream>`, which `{% instant_stream %}` loads. */
import type { Instant } from "../instant.js";
import { defineStream, type StreamTexts } from "./element.js";
import type { StreamUrls } from "./text-stream.js";

const { instant } = window as { instant?: Instant };
const json = (document.currentScript as HTMLScriptElement | null)?.dataset["instantStream"];
if (instant && json) {
  const { urls, texts } = JSON.parse(json) as { urls: StreamUrls; texts: StreamTexts };
  defineStream(instant, texts, urls);
} else {
  // eslint-disable-next-line no-console
  console.error("<instant-stream> needs {% instant_script %} before {% instant_stream %}.");
}
