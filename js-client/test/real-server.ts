/**
 * Real message servers: the embedded one of this repository, and Centrifugo if `INSTANT_CENTRIFUGO` names
 * its binary.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { TOKEN_KEY } from "./fake-centrifugo.js";

const API_KEY = "api-key";
const repository = fileURLToPath(new URL("../../", import.meta.url));
const CONFIG = {
  client: { token: { hmac_secret_key: TOKEN_KEY }, allowed_origins: ["*"] },
  http_api: { key: API_KEY },
  sse: { enabled: true },
  http_stream: { enabled: true },
  channel: {
    // What the delivery Latest is compiled to.
    namespaces: [
      { name: "latest", history_size: 1, history_ttl: "300s", force_recovery: true, force_recovery_mode: "cache", auto_cache_recover: true },
    ],
    without_namespace: {
      history_size: 5000,
      history_ttl: "300s",
      force_recovery: true,
      presence: true,
      join_leave: true,
      allow_presence_for_subscriber: true,
      allow_history_for_subscriber: true,
      allow_publish_for_subscriber: true,
    },
  },
};

function python(): string | undefined {
  const found = [process.env["INSTANT_PYTHON"] ?? "", `${repository}.venv/bin/python`, "python3"];
  return found.find(
    (name) => name !== "" && spawnSync(name, ["-c", "import aiohttp, instant.embedded"], { cwd: repository }).status === 0,
  );
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

async function listens(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 2000; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`The server ended with ${child.exitCode.toString()}`);
    const socket = connect(port, "127.0.0.1");
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.on("connect", () => {
        resolve(true);
      });
      socket.on("error", () => {
        resolve(false);
      });
    });
    socket.destroy();
    if (isOpen) return;
    await pause(5);
  }
  throw new Error("The server never listened");
}

export type Kind = "embedded" | "centrifugo";

const binary = process.env["INSTANT_CENTRIFUGO"] ?? "";
const interpreter = python();

/** The servers that can be started on this machine. */
export const KINDS: readonly Kind[] = [
  ...(interpreter === undefined ? [] : ["embedded" as const]),
  ...(existsSync(binary) ? ["centrifugo" as const] : []),
];

export class RealServer {
  readonly port: number;
  readonly #kind: Kind;
  readonly #folder = mkdtempSync(join(tmpdir(), "instant-"));
  #child: ChildProcess | undefined;

  private constructor(kind: Kind, port: number) {
    this.#kind = kind;
    this.port = port;
    writeFileSync(
      join(this.#folder, "config.json"),
      JSON.stringify({ ...CONFIG, http_server: { address: "127.0.0.1", port }, log: { level: "error" } }),
    );
  }

  static async start(kind: Kind): Promise<RealServer> {
    const server = new RealServer(kind, await freePort());
    await server.start();
    return server;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port.toString()}/connection/websocket`;
  }

  async start(): Promise<void> {
    const config = join(this.#folder, "config.json");
    const options = { cwd: repository, stdio: "ignore" } as const;
    this.#child =
      this.#kind === "centrifugo"
        ? spawn(binary, ["-c", config], options)
        : spawn(interpreter ?? "", ["-m", "instant.embedded", "--config", config], options);
    await listens(this.port, this.#child);
  }

  /** Kills the server and with it all histories. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }

  async publish(channel: string, data: object): Promise<void> {
    await this.call("publish", { channel, data });
  }

  async call(method: string, parameters: object): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.port.toString()}/api/${method}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-API-Key": API_KEY },
      body: JSON.stringify(parameters),
    });
    const answer = (await response.json()) as { error?: { message: string } };
    if (answer.error !== undefined) throw new Error(answer.error.message);
    return answer;
  }
}
