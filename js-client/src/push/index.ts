/** Addresses of Django's views. */
export interface PushUrls {
  readonly worker: string;
  readonly subscribe: string;
  readonly unsubscribe: string;
}

/** What a page has to know to let a browser be notified. */
export interface PushOptions {
  /** The site's public key, in URL-safe Base64. */
  readonly key: string;
  readonly urls: PushUrls;
}

/** `"denied"`: the user has told the browser that this site may not. */
export type PushPermission = "default" | "granted" | "denied";

/** Milliseconds for an answer: the switch waits for it. */
const PATIENCE = 20_000;

/** Lets this browser be notified while no page is open, and no more. */
export class Push {
  readonly #key: string;
  readonly #urls: PushUrls;

  constructor({ key, urls }: PushOptions) {
    this.#key = key;
    this.#urls = urls;
  }

  /** Asks the user for permission, where they were not asked before, and subscribes; call it in a click. */
  async turnOn(): Promise<PushPermission> {
    const permission = await Notification.requestPermission();
    if (permission === "granted") await this.renew();
    return permission;
  }

  /** Subscribes where the permission is given already, or tells Django of the subscription that there is. */
  async renew(): Promise<void> {
    const registration = await navigator.serviceWorker.register(this.#urls.worker);
    await isActive(registration);
    const { pushManager } = registration;
    const key = decode(this.#key);
    let found = await pushManager.getSubscription();
    if (found && !isSame(found.options.applicationServerKey, key)) {
      await found.unsubscribe(); // the site has another key
      found = null;
    }
    found ??= await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    await post(this.#urls.subscribe, found.toJSON());
  }

  /** Unsubscribes; Django is told first, so that nothing is sent where this fails. */
  async turnOff(): Promise<void> {
    const found = await (await this.#registration())?.pushManager.getSubscription();
    if (!found) return;
    await post(this.#urls.unsubscribe, { endpoint: found.endpoint });
    await found.unsubscribe();
  }

  /** Takes back what the browser still shows of these, or of all: they were read elsewhere. */
  async close(ids?: readonly string[]): Promise<void> {
    for (const shown of (await (await this.#registration())?.getNotifications()) ?? []) {
      if (!ids || ids.includes(shown.tag)) shown.close();
    }
  }

  #registration(): Promise<ServiceWorkerRegistration | undefined> {
    return navigator.serviceWorker.getRegistration(this.#urls.worker);
  }
}

/** `serviceWorker.ready` is for the page's own one, whose folder this one isn't. */
function isActive({ active, installing, waiting }: ServiceWorkerRegistration): Promise<void> {
  const worker = installing ?? waiting;
  if (active || !worker) return Promise.resolve();
  return new Promise((resolve, reject) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve();
      if (worker.state === "redundant") reject(new Error("The service worker could not be installed."));
    });
  });
}

async function post(url: string, body: unknown): Promise<void> {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(url, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    credentials: "same-origin",
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (!response.ok) throw new Error(String(response.status));
}

function decode(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
}

function isSame(has: ArrayBuffer | null, key: Uint8Array): boolean {
  const bytes = new Uint8Array(has ?? new ArrayBuffer(0));
  return bytes.length === key.length && bytes.every((byte, index) => byte === key[index]);
}
