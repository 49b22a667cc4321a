/** The entry point of the script that `load.script.ts` loads. */
import * as shared from "./index.js";

Object.assign(document.currentScript as HTMLScriptElement, shared);
