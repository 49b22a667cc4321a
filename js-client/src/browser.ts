/** The script build. The only module that does something when it is loaded. */
import { parsePageConfig, setPageConfig } from "./config.js";
import { createInstant, type Instant } from "./instant.js";
import { useInstant } from "./legacy.js";
import { defineStatusElement } from "./status.js";

declare global {
  interface Window {
    /** The functions of the package. */
    $instant?: { readonly useInstant: typeof useInstant; readonly createInstant: typeof createInstant };
    /** The page's connection, where the script tag carries `data-instant`. It asks for nothing before it is used. */
    instant?: Instant;
  }
}

const json = document.currentScript?.dataset["instant"];
const page = json === undefined ? undefined : parsePageConfig(json);
if (page !== undefined) setPageConfig(page);
// A page that is swapped in by Turbo or htmx may carry the script again: the connection stays.
window.$instant ??= { useInstant, createInstant };
if (page !== undefined) defineStatusElement((window.instant ??= createInstant()), page.texts);
