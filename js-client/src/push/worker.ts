/**
 * The service worker: it is told an id, asks Django what that is, and shows it.
 *
 * It controls no pages (its folder has none) and caches nothing, so it is in no other service worker's way.
 */
import type { Notification as Shown } from "../bell/inbox.js";

/** What is used of a service worker's world; TypeScript's library for it excludes that of pages. */
interface Client {
  readonly url: string;
  readonly visibilityState: string;
  focus(): Promise<unknown>;
  postMessage(message: unknown, transfer: Transferable[]): void;
}
interface WorkerEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Happened extends WorkerEvent {
  readonly data?: { json(): unknown };
  readonly notification: Notification;
  readonly oldSubscription?: PushSubscription | null;
  readonly newSubscription?: PushSubscription | null;
}
interface World {
  readonly location: Location;
  readonly registration: ServiceWorkerRegistration;
  readonly clients: {
    matchAll(options: object): Promise<readonly Client[]>;
    openWindow(url: string): Promise<unknown>;
  };
  readonly navigator: { setAppBadge?(count: number): Promise<void>; clearAppBadge?(): Promise<void> };
  /** What the site says, before this script. */
  readonly instantSite: { readonly home: string; readonly icon: string | null; readonly title: string };
  addEventListener(type: string, listener: (event: Happened) => void): void;
  skipWaiting(): Promise<void>;
}

const world = self as unknown as World;
const { home, icon, title: untold } = world.instantSite;

/** Milliseconds in which a page that the user looks at says that it shows it. */
const PATIENCE = 500;
/** Milliseconds for Django's answer: the browser ends a worker that shows nothing for long, and may take the permission away. */
const ANSWER = 10_000;

/** The numbers of the newest question, and of the newest that was answered: two pushes may overlap. */
let asked = 0;
let answered = 0;

world.addEventListener("install", (event) => { event.waitUntil(world.skipWaiting()); });

world.addEventListener("push", (event) => {
  const { id } = (event.data?.json() ?? {}) as { id?: string };
  event.waitUntil(tell(id ?? ""));
});

world.addEventListener("notificationclick", (event) => {
  const { tag } = event.notification;
  const data = event.notification.data as { url?: string } | null;
  event.notification.close();
  event.waitUntil(Promise.all([open(data?.url), tag && ask("../notifications/read/", { ids: [tag] }).catch(() => undefined)]));
});

world.addEventListener("pushsubscriptionchange", (event) => {
  event.waitUntil(subscribeAgain(event));
});

async function tell(id: string): Promise<void> {
  const subscription = await world.registration.pushManager.getSubscription();
  // Safari takes the permission away where nothing is shown.
  const must = /\.push\.apple\.com$/.test(new URL(subscription?.endpoint ?? "https://x").hostname);
  if (!must && (await isShown(id))) return;
  const number = (asked += 1);
  let response: Response | undefined;
  let answer: { notification: Shown; unread: number } | undefined;
  try {
    response = await ask("notification/", { id });
    if (response.ok) answer = (await response.json()) as typeof answer;
  } catch {
    // no network, or Django doesn't answer, or not to the end
  }
  if (response?.status === 403) {
    // The session is over, in which somebody wanted to be notified.
    if (subscription) {
      await ask("unsubscribe/", { endpoint: subscription.endpoint }).catch(() => undefined);
      await subscription.unsubscribe();
    }
    if (must) await show({ title: untold, body: "", id });
    return;
  }
  if (!answer) {
    if (must || response?.status !== 404) await show({ title: untold, body: "", id });
    return;
  }
  const { notification, unread } = answer;
  const isNewest = number > answered;
  if (isNewest) answered = number;
  if (must || !notification.read) await show(notification);
  if (!isNewest) return;
  if (unread) await world.navigator.setAppBadge?.(unread).catch(() => undefined);
  else await world.navigator.clearAppBadge?.().catch(() => undefined);
}

async function show({ id, title, body, url, created }: Partial<Shown>): Promise<void> {
  const options = { body, tag: id, data: { url }, ...(icon && { icon }), ...(created && { timestamp: Date.parse(created) }) };
  await world.registration.showNotification(title ?? untold, options as NotificationOptions);
}

/** Asks the pages that the user can see whether one of them shows it. */
async function isShown(id: string): Promise<boolean> {
  const pages = await windows();
  const answers = pages
    .filter(({ visibilityState }) => visibilityState === "visible")
    .map(
      (page) =>
        new Promise<boolean>((resolve) => {
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = ({ data }) => { resolve(data === true); };
          setTimeout(() => { resolve(false); }, PATIENCE);
          page.postMessage({ instantPush: id }, [port2]);
        }),
    );
  return (await Promise.all(answers)).includes(true);
}

async function open(given = ""): Promise<void> {
  const url = new URL(given || home, world.location.origin);
  if (!/^https?:$/.test(url.protocol)) return;
  const pages = await windows();
  const there = pages.find((page) => !given || page.url === url.href);
  await (there ? there.focus() : world.clients.openWindow(url.href));
}

function windows(): Promise<readonly Client[]> {
  return world.clients.matchAll({ type: "window", includeUncontrolled: true });
}

/** The push service has given the browser another address. */
async function subscribeAgain({ oldSubscription, newSubscription }: Happened): Promise<void> {
  const { pushManager } = world.registration;
  const found = newSubscription ?? (await pushManager.subscribe(oldSubscription?.options));
  await ask("subscribe/", found.toJSON());
}

function ask(view: string, body: unknown): Promise<Response> {
  return fetch(new URL(view, world.location.href), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    credentials: "same-origin",
    signal: AbortSignal.timeout(ANSWER),
  });
}
