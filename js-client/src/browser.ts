/** The script build. The only module that does something when it is loaded. */
import { setPageConfig } from "./config.js";
import { defineElement } from "./status-element.js";
import { createInstant, type Instant } from "./instant.js";
import { useInstant } from "./legacy.js";
import type { PageConfig } from "./types.js";

declare global {
  interface Window {
    /** The functions of the package. */
    $instant?: { readonly useInstant: typeof useInstant; readonly createInstant: typeof createInstant };
    /** The page's connection, where the script tag carries `data-instant`. It asks for nothing before it is used. */
    instant?: Instant;
  }
}

const json = document.currentScript?.dataset["instant"];
const page = json && (JSON.parse(json) as PageConfig);
if (page) setPageConfig(page);
// A page that is swapped in by Turbo or htmx may carry the script again: the connection stays.
window.$instant ??= { useInstant, createInstant };
if (page) defineElement((window.instant ??= createInstant()), page.texts);
