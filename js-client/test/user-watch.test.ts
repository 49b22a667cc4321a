/** Another user in another tab: the session of the browser has changed, and this page has to notice. */
import { beforeEach, expect, test, vi } from "vitest";

import type { Instant } from "../src/instant.js";
import { soon, until, useSite } from "./site.js";

const site = useSite();

/** Stands for BroadcastChannel, whose one in Node keeps the process alive. */
class Channel {
  static readonly all = new Set<Channel>();
  static readonly posted: unknown[] = [];
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
    Channel.all.add(this);
  }

  close(): void {
    Channel.all.delete(this);
  }

  postMessage(data: unknown): void {
    Channel.posted.push(data);
    for (const other of Channel.all) if (other !== this && other.name === this.name) other.onmessage?.({ data });
  }
}

let page: EventTarget & { cookie: string };
let store: EventTarget;

beforeEach(() => {
  Channel.all.clear();
  Channel.posted.length = 0;
  page = Object.assign(new EventTarget(), { cookie: "csrftoken=one" });
  store = new EventTarget();
  const window = new EventTarget();
  vi.stubGlobal("document", page);
  vi.stubGlobal("cookieStore", store);
  vi.stubGlobal("location", new URL(`${site.django.url}/page`));
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
  vi.stubGlobal("dispatchEvent", window.dispatchEvent.bind(window));
  vi.stubGlobal("BroadcastChannel", Channel);
  site.django.rights.set("anna", ["public", "$staff"]);
  site.django.rights.set("ben", ["public"]);
});

async function open(user: string): Promise<{ instant: Instant; users: string[] }> {
  site.django.user = user;
  const instant = site.instant();
  const users: string[] = [];
  instant.on("user", (name) => users.push(name));
  instant.channel("public").on("*", () => undefined);
  await until(instant, "live");
  await soon(() => {
    expect(instant.channel("public").status).toBe("live");
  });
  return { instant, users };
}

test.each([
  ["the page is shown", () => page.dispatchEvent(new Event("visibilitychange"))],
  ["the window gets the focus", () => dispatchEvent(new Event("focus"))],
  ["the browser reports a changed cookie", () => store.dispatchEvent(new Event("change"))],
])("a login in another tab, which changes the CSRF cookie, is noticed when %s", async (_when, happen) => {
  const { instant, users } = await open("anna");
  const staff = instant.channel("$staff");
  staff.on("*", () => undefined);
  await soon(() => {
    expect(staff.status).toBe("live");
  });
  // Without a change nothing is asked.
  const before = site.django.seen.length;
  happen();
  site.django.user = "ben";
  page.cookie = "csrftoken=two";
  happen();
  happen();
  await soon(() => {
    expect([site.centrifugo.users, instant.status]).toEqual([["ben"], "live"]);
    expect([staff.status, staff.denial]).toEqual(["denied", "revoked"]);
  });
  expect(users).toEqual(["ben"]);
  // One request asks who it is, and one connects.
  expect(site.django.seen).toHaveLength(before + 2);
});

test("a page of another user tells the others, and no page asks for ever", async () => {
  const { instant: first, users } = await open("anna");
  const { instant: second } = await open("anna");
  expect(Channel.posted).toEqual(["anna", "anna"]);
  const before = site.django.seen.length;
  // A third tab logs in, and its page has a connection too.
  const { instant: third } = await open("ben");
  await soon(() => {
    expect(site.centrifugo.users).toEqual(["ben", "ben", "ben"]);
    expect([first.status, second.status, third.status]).toEqual(["live", "live", "live"]);
  });
  expect(users).toEqual(["ben"]);
  expect(site.django.seen).toHaveLength(before + 5);
  expect(Channel.posted).toEqual(["anna", "anna", "ben", "ben", "ben"]);
});

test("a page whose credentials are its own stays who it is", async () => {
  const { instant, users } = await open("anna");
  const connects = site.centrifugo.count("connect");
  const seen = site.django.seen.length;
  new Channel([...Channel.all][0]?.name ?? "").postMessage("ben");
  await soon(() => {
    expect(site.django.seen).toHaveLength(seen + 1);
  });
  await instant.channels();
  expect([instant.status, users, site.centrifugo.count("connect")]).toEqual(["live", [], connects]);
  // It tells nobody, or two such pages would go on asking.
  expect(Channel.posted).toEqual(["anna", "ben"]);
});

test("a page that is hidden for the back-forward cache listens to no other, and does again when it returns", async () => {
  const { instant } = await open("anna");
  dispatchEvent(new Event("pagehide"));
  expect(Channel.all.size).toBe(0);
  site.centrifugo.cut();
  await soon(() => {
    expect([instant.status, Channel.all.size]).toEqual(["live", 1]);
  });
});

test("a page that may have no channels, because it may store nothing, connects all the same", async () => {
  vi.stubGlobal("BroadcastChannel", function () {
    throw new DOMException("The operation is insecure.", "SecurityError");
  });
  const { instant } = await open("anna");
  expect(instant.status).toBe("live");
});

test("logout() tells the other tabs, which are signed out and not anonymous", async () => {
  const { instant: first } = await open("anna");
  const { instant: second } = await open("anna");
  await second.logout();
  await until(first, "signed-out");
  expect(Channel.posted.at(-1)).toBe("");
});

test("a page that is signed out comes back when somebody logs in, but not as nobody", async () => {
  const { instant } = await open("anna");
  const channel = new Channel([...Channel.all][0]?.name ?? "");
  site.centrifugo.cut(3503);
  await until(instant, "signed-out");
  site.django.user = "";
  const seen = site.django.seen.length;
  channel.postMessage("nobody in fact");
  await soon(() => {
    expect(site.django.seen).toHaveLength(seen + 1);
  });
  expect(instant.status).toBe("signed-out");
  site.django.user = "ben";
  page.cookie = "csrftoken=two";
  dispatchEvent(new Event("focus"));
  await until(instant, "live");
  expect(site.centrifugo.users).toEqual(["ben"]);
});

test("a page that has connected while it was asked who is signed in stays connected", async () => {
  const { instant } = await open("anna");
  const channel = new Channel([...Channel.all][0]?.name ?? "");
  site.centrifugo.cut(3503);
  await until(instant, "signed-out");
  let release = (): void => undefined;
  site.django.gate = new Promise((resolve) => (release = resolve));
  const seen = site.django.seen.length;
  channel.postMessage("ben");
  await soon(() => {
    expect(site.django.seen).toHaveLength(seen + 1);
  });
  site.django.gate = Promise.resolve();
  await instant.connect();
  await until(instant, "live");
  const statuses: string[] = [];
  instant.on("status", (status) => statuses.push(status));
  release();
  await new Promise((resolve) => setTimeout(resolve, 200)); // an answer is read
  expect([statuses, instant.status, site.centrifugo.count("connect")]).toEqual([[], "live", 2]);
});

test.each([
  ["another page tells", "ben"],
  ["the cookie says", ""],
])("an older answer does not hide what %s meanwhile", async (_who, told) => {
  const { instant, users } = await open("anna");
  const channel = new Channel([...Channel.all][0]?.name ?? "");
  let release = (): void => undefined;
  site.django.gate = new Promise((resolve) => (release = resolve));
  const seen = site.django.seen.length;
  const listing = instant.channels();
  await soon(() => {
    expect(site.django.seen).toHaveLength(seen + 1);
  });
  site.django.gate = Promise.resolve();
  site.django.user = "ben";
  page.cookie = "csrftoken=two";
  if (told) {
    store = new EventTarget(); // the browser says nothing of cookies
    page.cookie = "csrftoken=one"; // and pages can't read it
    channel.postMessage(told);
  } else store.dispatchEvent(new Event("change"));
  release();
  await listing;
  await soon(() => {
    expect([site.centrifugo.users, instant.status]).toEqual([["ben"], "live"]);
  });
  expect(users).toEqual(["ben"]);
});

test("what another page tells while Django is asked is asked about, too", async () => {
  const { instant } = await open("anna");
  const channel = new Channel([...Channel.all][0]?.name ?? "");
  let release = (): void => undefined;
  site.django.gate = new Promise((resolve) => (release = resolve));
  const seen = site.django.seen.length;
  channel.postMessage("somebody");
  await soon(() => {
    expect(site.django.seen).toHaveLength(seen + 1);
  });
  site.django.gate = Promise.resolve();
  site.django.user = "ben";
  channel.postMessage("ben");
  release();
  await soon(() => {
    expect([site.centrifugo.users, instant.status]).toEqual([["ben"], "live"]);
  });
});

test("a refreshed connection whose user has changed connects again as the new one", async () => {
  site.django.connectionLife = 1;
  const { users } = await open("anna");
  site.django.user = "ben";
  await soon(() => {
    expect(site.centrifugo.users).toEqual(["ben"]);
  });
  expect([users, site.centrifugo.errors]).toEqual([["ben"], []]);
});
