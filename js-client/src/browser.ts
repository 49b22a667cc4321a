/** The script build. The only module that does something when it is loaded. */
import { parsePageConfig, setPageConfig } from "./config.js";
import { createInstant, type Instant } from "./instant.js";
import { useInstant } from "./legacy.js";

declare global {
  interface Window {
    /** The functions of the package. */
    $instant?: { readonly useInstant: typeof useInstant; readonly createInstant: typeof createInstant };
    /** The page's connection, where the script tag carries `data-instant`. It asks for nothing before it is used. */
    instant?: Instant;
  }
}

const json = document.currentScript?.dataset["instant"];
if (json !== undefined) setPageConfig(parsePageConfig(json));
// A page that is swapped in by Turbo or htmx may carry the script again: the connection stays.
window.$instant ??= { useInstant, createInstant };
if (json !== undefined) window.instant ??= createInstant();
