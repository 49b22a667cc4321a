/** The functions of django-instant 4's client, in every order that makes sense. */
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";

import { setPageConfig } from "../src/config.js";
import { ConfigError, ConnectError, RefusedError, SignedOutError } from "../src/errors.js";
import { type Message, useInstant } from "../src/legacy.js";
import { soon, useSite } from "./site.js";

const site = useSite();
const ANNA = ["anna", "secret-of-anna"] as const;
let prints: MockInstance[] = [];

beforeEach(() => {
  site.django.rights.set("anna", ["public", "$users"]);
  site.django.rights.delete("");
  prints = (["log", "info", "warn", "error", "debug", "trace"] as const).map((name) => vi.spyOn(console, name));
});
afterEach(() => {
  setPageConfig(undefined);
  // No test of this file may print anything.
  for (const print of prints) expect(print).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});

function names(channels: ReadonlySet<{ name: string }>): string[] {
  return [...channels].map(({ name }) => name).sort();
}

async function bothLive(): Promise<void> {
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual(["$users", "public"]);
  });
}

describe("the documented order", () => {
  test("init, login, connect, onMessage, subscribe: messages arrive, nothing is printed", async () => {
    const { init, login, connect, subscribe, onMessage, getClient, onReady, channels } = site.client();
    expect(getClient()).toBeUndefined();
    await init(site.django.url, site.centrifugo.url.replace("/connection/websocket", ""), true);
    await expect(onReady).resolves.toBe(true);
    await login(...ANNA);
    const messages: Message[] = [];
    onMessage((message) => messages.push(message));
    await connect();
    subscribe("$users");
    expect(getClient()?.state).toBe("connected");
    expect(names(channels)).toEqual(["$users", "public"]);
    await bothLive();
    site.centrifugo.publish("$users", { site: "Shop", message: "Hi", event_class: "important", bucket: "b" });
    await soon(() => {
      expect(messages).toEqual([
        {
          channelName: "$users",
          site: "Shop",
          msg: "Hi",
          data: {},
          eventClass: "important",
          bucket: "b",
          date: expect.any(Date) as Date,
        },
      ]);
    });
  });

  test("a session that exists needs init and connect alone, and one request", async () => {
    site.django.user = "anna";
    const { init, connect } = site.client();
    await init(site.django.url);
    await connect();
    await bothLive();
    expect(site.django.views()).toEqual(["get_token"]);
  });

  test("connect(false) subscribes to nothing, subscribe() to all, subscribe(name) to one", async () => {
    site.django.user = "anna";
    const { init, connect, subscribe } = site.client();
    await init(site.django.url);
    await connect(false);
    expect(site.centrifugo.count("subscribe")).toBe(0);
    subscribe("public");
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual(["public"]);
    });
    subscribe();
    await bothLive();
  });
});

describe("other orders", () => {
  function page(): void {
    const view = (name: string): string => `${site.django.url}/instant/${name}/`;
    setPageConfig({
      urls: { login: view("login"), get_token: view("get_token"), subscribe: view("subscribe"), logout: view("logout") },
      csrf: { cookie: "csrftoken", header: "X-CSRFToken" },
    });
  }

  test("init while logged out does not throw, and login afterwards works", async () => {
    const { init, login, connect, channels, onReady } = site.client();
    await init(site.django.url);
    await expect(onReady).resolves.toBe(true);
    expect(channels.size).toBe(0);
    await login(...ANNA);
    await connect();
    await bothLive();
  });

  test("login before init, on a page with settings", async () => {
    page();
    const { init, login, connect } = site.client();
    await login(...ANNA);
    await init();
    await connect();
    await bothLive();
  });

  test("connect without init, on a page with settings", async () => {
    page();
    site.django.user = "anna";
    await site.client().connect();
    await bothLive();
  });

  test("login before init, without settings, says what is missing", async () => {
    await expect(useInstant().login(...ANNA)).rejects.toBeInstanceOf(ConfigError);
    expect(site.django.seen).toEqual([]);
  });

  test("connect before login rejects, and works after it", async () => {
    const { init, login, connect } = site.client();
    await init(site.django.url);
    await expect(connect()).rejects.toBeInstanceOf(SignedOutError);
    await login(...ANNA);
    await connect();
    await bothLive();
  });

  test("login while connected as anonymous brings the user's channels", async () => {
    site.django.rights.set("", ["public"]);
    const { init, login, connect, channels } = site.client();
    await init(site.django.url);
    await connect();
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual(["public"]);
    });
    await login(...ANNA);
    await bothLive();
    expect(names(channels)).toEqual(["$users", "public"]);
  });

  test("two inits and a login leave each channel once", async () => {
    site.django.user = "anna";
    const { init, login, connect, channels, getToken, get_token } = site.client();
    await init(site.django.url);
    await init(site.django.url);
    await login(...ANNA);
    await getToken();
    await get_token();
    await connect();
    await bothLive();
    expect(names(channels)).toEqual(["$users", "public"]);
    expect(site.centrifugo.count("connect")).toBe(1);
  });

  test("init again while connected goes on with the new servers", async () => {
    site.django.user = "anna";
    const { init, connect, onMessage } = site.client();
    const messages: string[] = [];
    onMessage(({ msg }) => messages.push(msg));
    await init(site.django.url);
    await connect();
    await bothLive();
    await init(site.django.url, site.centrifugo.url);
    await connect(false);
    await bothLive();
    await soon(() => {
      expect(site.centrifugo.users).toEqual(["anna"]);
    });
    site.centrifugo.publish("public", { message: "once" });
    await soon(() => {
      expect(messages).toEqual(["once"]);
    });
  });

  test("two connects make one connection", async () => {
    site.django.user = "anna";
    const { init, connect } = site.client();
    await init(site.django.url);
    await Promise.all([connect(), connect()]);
    await connect();
    await bothLive();
    expect(site.centrifugo.count("connect")).toBe(1);
    expect(site.centrifugo.count("subscribe")).toBe(2);
  });

  test("getToken is there, and rejects when logged out", async () => {
    const { init, getToken, get_token, login, channels } = site.client();
    await init(site.django.url);
    await expect(getToken()).rejects.toBeInstanceOf(SignedOutError);
    await login(...ANNA);
    await get_token();
    expect(names(channels)).toEqual(["$users", "public"]);
  });

  test("connect rejects when the message server is away", async () => {
    site.django.user = "anna";
    site.centrifugo.refuses = true;
    const { init, connect } = site.client();
    await init(site.django.url);
    await expect(connect()).rejects.toBeInstanceOf(ConnectError);
  });

  test("wrong credentials reject and change nothing", async () => {
    const { init, login, channels } = site.client();
    await init(site.django.url);
    await expect(login("anna", "wrong")).rejects.toBeInstanceOf(RefusedError);
    expect(channels.size).toBe(0);
  });

  test("init rejects when Django is broken", async () => {
    site.django.instead.push({ status: 500, body: "broken" });
    await expect(site.client().init(site.django.url)).rejects.toThrow("status 500");
  });
});

test("no error says a token or a password", async () => {
  site.django.instead.push({ status: 200, body: { ws_token: "", channels: [{ name: "a", token: "tok-en" }] } });
  const instant = site.instant();
  const failures: unknown[] = [];
  instant.on("error", (error) => failures.push(error));
  failures.push(await instant.channels().catch((error: unknown) => error));
  failures.push(await instant.login("anna", "wrong-secret").catch((error: unknown) => error));
  await instant.login(...ANNA);
  await instant.connect();
  site.centrifugo.cut(3501);
  await soon(() => {
    expect(failures).toHaveLength(3);
  });
  const said = failures.map((error) => `${String(error)} ${String((error as Error).cause)}`).join("\n");
  expect(said).not.toMatch(/tok-en|secret|eyJ/);
});
