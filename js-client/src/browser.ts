/** The entry point of the script for browsers. It is the only module with side effects when it is loaded. */
import { setPageConfig } from "./config.js";
import { defineElement } from "./status-element.js";
import { createInstant, type Instant } from "./instant.js";
import { useInstant } from "./legacy.js";
import { setScript } from "./load.script.js";
import type { PageConfig } from "./options.js";

declare global {
  interface Window {
    /** This package's functions. */
    $instant?: { readonly useInstant: typeof useInstant; readonly createInstant: typeof createInstant };
    /** The page's connection, if the script tag has `data-instant`. It sends nothing before it is used. */
    instant?: Instant;
  }
}

const script = document.currentScript as HTMLScriptElement | null;
const json = script?.dataset["instant"];
const page = json && (JSON.parse(json) as PageConfig);
setScript(script, page || {});
if (page) setPageConfig(page);
// A page that Turbo or htmx swaps in may contain the script again: keep the connection.
window.$instant ??= { useInstant, createInstant };
if (page) defineElement((window.instant ??= createInstant()), page.texts);
