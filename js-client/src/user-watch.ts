/** Milliseconds to wait, because a login of this page itself changes the cookie before its answer is read. */
const PAUSE = 500;

/** What of a browser is used; in Node there is none of it. */
interface Browser {
  readonly document?: Document;
  readonly cookieStore?: EventTarget;
  readonly BroadcastChannel?: new (name: string) => BroadcastChannel;
}

/**
 * Notices that the browser's session may belong to another user now, because of a login or logout in
 * another tab, and calls `changed` then. Returns a function to call with the user of each answer of Django.
 *
 * Every login changes Django's CSRF cookie, which pages can read. Where they can't, a page hears from the
 * first page of the new user that has a connection: pages tell each other their user when it is a new one.
 */
export function watchUser(name: string, readCookie: () => string, changed: () => Promise<unknown>): (user: string) => void {
  const { document: page, cookieStore, BroadcastChannel } = globalThis as unknown as Browser;
  let channel: BroadcastChannel | undefined;
  let timer: ReturnType<typeof setTimeout>;
  /** The user of this page, and the last one that another page or this one has told. */
  let user: string | undefined;
  let told: string | undefined;
  let cookie = "";
  const check = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const current = readCookie();
      if (told === user && cookie === current) return;
      const heard = told;
      // If it fails, the next event asks again.
      changed().then(
        () => {
          // What another page has told meanwhile is looked at next.
          if (told === heard) told = user;
          cookie = current;
        },
        () => undefined,
      );
    }, PAUSE);
  };
  const start = (): void => {
    if (!page) return;
    addEventListener("focus", check);
    page.addEventListener("visibilitychange", check);
    cookieStore?.addEventListener("change", check);
    // A message would throw a hidden page out of the back-forward cache. If it returns, it connects again.
    addEventListener("pagehide", () => {
      channel?.close();
      channel = undefined;
    });
  };
  const open = (): void => {
    if (!page || !BroadcastChannel) return;
    try {
      channel = new BroadcastChannel(name);
    } catch {
      // A page that may store nothing may have no channels either: Firefox says so by throwing.
      return;
    }
    channel.onmessage = ({ data }) => {
      told = data as string;
      check();
    };
  };
  return (current) => {
    if (user === undefined) start();
    if (!channel) open();
    const isNew = user !== current;
    // An answer of the same user may be older than what another page has told, or the cookie.
    if (isNew) cookie = readCookie();
    if (told === user) told = current;
    user = current;
    if (isNew) channel?.postMessage(current);
  };
}
