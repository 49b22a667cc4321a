import { describe, expect, test, vi } from "vitest";

import { resolveConfig } from "../src/config.js";
import { Django } from "../src/django.js";
import { RefusedError, ReplyError, RequestError } from "../src/errors.js";
import { useSite } from "./site.js";

const site = useSite();

function django(fetch?: typeof globalThis.fetch): Django {
  return new Django(resolveConfig({ ...site.options, ...(fetch && { fetch }) }), "tab-1");
}

describe("CSRF", () => {
  test("the newest token that Django sent is used", async () => {
    const views = django();
    await views.connection();
    await views.connection();
    await views.channels();
    await views.channels();
    expect(site.django.seen.map(({ csrf }) => csrf)).toEqual([undefined, "csrf-3", "csrf-6", "csrf-6"]);
  });

  test("an answer that is overtaken does not put the token before back", async () => {
    const views = django();
    let release = (): void => undefined;
    site.django.gate = new Promise((resolve) => (release = resolve));
    const older = views.connection();
    await vi.waitFor(() => {
      expect(site.django.seen).toHaveLength(1);
    });
    site.django.gate = Promise.resolve();
    await views.connection();
    release();
    await older;
    await views.channels();
    expect(site.django.seen.map(({ csrf }) => csrf)).toEqual([undefined, undefined, "csrf-6"]);
    await views.connection();
    await views.channels();
    expect(site.django.seen.at(-1)?.csrf).not.toBe("csrf-6");
  });

  test("the token of a login counts, whatever is answered while it is under way or after it", async () => {
    const views = django();
    const releases: (() => void)[] = [];
    const held: Promise<unknown>[] = [];
    for (const ask of [() => views.login("anna", "secret-of-anna"), () => views.connection()]) {
      site.django.gate = new Promise((resolve) => releases.push(resolve));
      site.django.rights.set("anna", []);
      held.push(ask());
      await vi.waitFor(() => {
        expect(site.django.seen).toHaveLength(held.length);
      });
    }
    site.django.gate = Promise.resolve();
    await views.connection(); // by Django before the login, for all the page knows
    for (const [index, release] of releases.entries()) {
      release();
      await held[index];
    }
    await views.channels();
    expect(site.django.seen.at(-1)?.csrf).toBe("csrf-2");
  });

  test("the cookie is read for every request, and wins", async () => {
    vi.stubGlobal("location", new URL(`${site.django.url}/page`));
    const page = { cookie: "other=1; csrftoken=first%21" };
    vi.stubGlobal("document", page);
    const views = django();
    await views.connection();
    page.cookie = "csrftoken=second; other=1";
    await views.connection();
    page.cookie = "xcsrftoken=no";
    await views.connection();
    expect(site.django.seen.map(({ csrf }) => csrf)).toEqual(["first!", "second", "csrf-6"]);
  });

  test("this site's cookie is not sent to another site", async () => {
    vi.stubGlobal("location", new URL("http://elsewhere.example/page"));
    vi.stubGlobal("document", { cookie: "csrftoken=ours" });
    await django().connection();
    expect(site.django.seen[0]?.csrf).toBeUndefined();
  });
});

test("requests are JSON by POST, with cookies", async () => {
  const fetch = vi.fn(globalThis.fetch);
  await django(fetch).connection(["public"]);
  expect(fetch.mock.calls[0]?.[1]).toMatchObject({
    method: "POST",
    body: '{"channels":["public"]}',
    credentials: "include",
    headers: { "Content-Type": "application/json" },
  });
  vi.stubGlobal("location", new URL("http://elsewhere.example/page"));
  await django(fetch).connection();
  expect(fetch.mock.calls[1]?.[1]).toMatchObject({ credentials: "include", body: "{}" });
});

test.each([-7200, 0, 7200])("a server's clock that is %i s ahead does not change how long a token can be used", async (ahead) => {
  site.django.clockAhead = ahead;
  const { until, channels } = await django().connection(["public"]);
  for (const time of [until, channels[0]?.until]) {
    expect(Number(time) - Date.now()).toBeGreaterThan(20_000);
    expect(Number(time) - Date.now()).toBeLessThan(30_000);
  }
});

describe("unusable answers", () => {
  test.each([
    [{ status: 403, body: { error: "log in first" } }, RefusedError, "log in first"],
    [{ status: 401, body: "<html>" }, RefusedError, "status 401"],
    [{ status: 400, body: { error: "too many names" } }, ReplyError, "too many names"],
    [{ status: 500, body: "<h1>Server Error</h1>" }, ReplyError, "status 500"],
    [{ status: 200, body: "<form>log in</form>" }, ReplyError, "unexpected answer with status 200"],
    [{ status: 200, body: [] }, ReplyError, "unexpected answer with status 200"],
    [{ status: 200, body: { channels: [] } }, ReplyError, "no token"],
    [{ status: 200, body: { ws_token: "t" } }, ReplyError, "no channels"],
  ])("%j", async (answer, kind, message) => {
    site.django.instead.push(answer);
    const failure = await django()
      .connection()
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(kind);
    expect((failure as ReplyError).message).toContain(message);
    expect((failure as ReplyError).status).toBe(answer.status);
  });

  test("a failed request has its cause", async () => {
    const cause = new TypeError("failed");
    const failure = await django(() => Promise.reject(cause))
      .connection()
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RequestError);
    expect((failure as RequestError).cause).toBe(cause);
  });

  test("a channel may have no token, no time and no rights", async () => {
    site.django.instead.push({ status: 200, body: { channels: [{ name: "order:1", level: "users" }] } });
    const { channels, next } = await django().channels();
    expect(channels).toEqual([{ name: "order:1", level: "users", rights: [], until: expect.any(Number) as number }]);
    expect(next).toBe("");
  });
});

describe("without a network", () => {
  const offline = (onLine: boolean): void => {
    vi.stubGlobal("navigator", { onLine });
  };

  test("Django is asked once, and again when the network is back", async () => {
    let isThere = false;
    const fetch = vi.fn((...request: Parameters<typeof globalThis.fetch>) =>
      isThere ? globalThis.fetch(...request) : Promise.reject(new TypeError("failed")),
    );
    const views = django(fetch);
    offline(false);
    for (let n = 0; n < 3; n += 1) await expect(views.connection()).rejects.toBeInstanceOf(RequestError);
    expect(fetch).toHaveBeenCalledTimes(1);
    isThere = true;
    offline(true);
    await views.connection();
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  test("a site on this machine is asked as ever", async () => {
    offline(false);
    const views = django();
    await Promise.all([views.connection(), views.channels()]);
    await views.connection();
    expect(site.django.views()).toHaveLength(3);
  });

  test("a Django that is down is asked again while there is a network", async () => {
    const fetch = vi.fn(() => Promise.reject(new TypeError("failed")));
    const views = django(fetch);
    for (let n = 0; n < 3; n += 1) await expect(views.connection()).rejects.toBeInstanceOf(RequestError);
    expect(fetch).toHaveBeenCalledTimes(3);
  });
});

test("the console says why Django left a channel out, where Django says it", async () => {
  const info = vi.spyOn(console, "info").mockReturnValue();
  await django().connection(["public"]);
  expect(info).not.toHaveBeenCalled();
  const refused = { pubic: "'pubic' was left out: there is no such channel; there is 'public'." };
  site.django.instead.push({ status: 200, body: { channels: [], refused } });
  await django().channels(["pubic"]);
  expect(info).toHaveBeenCalledExactlyOnceWith(refused.pubic);
  const stateless = { "bare:1": "'bare:1' was left out: Bare has no state. Write shop.realtime.Bare.snapshot(user, …)." };
  site.django.instead.push({ status: 200, body: { states: {}, refused: stateless } });
  await django().states(["bare:1"]);
  expect(info).toHaveBeenLastCalledWith(stateless["bare:1"]);
  info.mockRestore();
});
