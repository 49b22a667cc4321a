/** The entry point of the script that the bell loads when it is needed. */
import { Push } from "./index.js";

Object.assign(document.currentScript as HTMLScriptElement, { Push });
