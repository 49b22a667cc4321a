/** The entry point of the bell's script, which `{% instant_bell %}` loads. */
import type { Instant } from "../instant.js";
import type * as PushModule from "../push/index.js";
import { defineBell, type BellTexts } from "./element.js";
import type { BellUrls } from "./inbox.js";

interface Site {
  readonly urls: BellUrls;
  readonly texts: BellTexts;
  readonly push?: PushModule.PushOptions & { readonly script: string };
}

const { instant } = window as { instant?: Instant };
const own = document.currentScript as HTMLScriptElement | null;
const json = own?.dataset["instantBell"];
if (instant && json) {
  const { urls, texts, push } = JSON.parse(json) as Site;
  const nonce = own.nonce;
  let loading: Promise<PushModule.Push> | undefined;
  defineBell(instant, urls, texts, push && { key: push.key, load: () => (loading ??= load(push, nonce).catch(forget)) });
  const forget = (error: unknown): never => {
    loading = undefined;
    throw error;
  };
} else {
  // eslint-disable-next-line no-console
  console.error("<instant-bell> needs {% instant_script %} before {% instant_bell %}.");
}

/** Loads another script, which hands over its class: a module of another host would need its permission (CORS). */
function load(options: NonNullable<Site["push"]>, nonce?: string): Promise<PushModule.Push> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = options.script;
    if (nonce) script.nonce = nonce;
    script.onload = () => { resolve(new (script as unknown as typeof PushModule).Push(options)); };
    script.onerror = () => { reject(new Error(`${options.script} was not loaded`)); };
    document.head.append(script);
  });
}
