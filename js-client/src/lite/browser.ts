/** The entry point of the script that `{% instant_lite %}` loads. */
import { createLite } from "./lite.js";

const url = (document.currentScript as HTMLScriptElement | null)?.dataset["instantLite"];
const page = window as { instant?: unknown };
// A page that has the whole client, too, keeps that.
if (url) page.instant ??= createLite({ url });
