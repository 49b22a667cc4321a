/** A reverse proxy that tests can make fail. */
import { once } from "node:events";
import { createServer, request as send, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

export class Proxy {
  /** The port of the server behind it. */
  target: number;
  /** True: WebSockets are refused. */
  blocksUpgrades = false;
  /** True: HTTP-streaming is refused, but not server-sent events. */
  blocksStreams = false;
  /** True: every connection is broken at once. */
  isDown = false;
  /** The paths of all requests and upgrades. */
  readonly paths: string[] = [];
  readonly #server = createServer();
  readonly #sockets = new Set<Socket>();

  private constructor(target: number) {
    this.target = target;
    this.#server.on("connection", (socket) => {
      if (this.isDown) socket.destroy();
      else this.#keep(socket);
    });
    this.#server.on("request", (request, response) => {
      this.#pass(request, response);
    });
    this.#server.on("upgrade", (request, socket: Socket, head) => {
      this.#upgrade(request, socket, head);
    });
  }

  static async start(target: number): Promise<Proxy> {
    const proxy = new Proxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port.toString()}/connection/websocket`;
  }

  /** Breaks all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.cut();
    await once(this.#server, "close");
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
  }

  #pass(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? "/";
    this.paths.push(path.replace(/\?.*/, ""));
    if (this.blocksStreams && path.includes("/http_stream")) {
      response.writeHead(403, { "Access-Control-Allow-Origin": "*" }).end();
      return;
    }
    const { method, headers } = request;
    const onward = send({ host: "127.0.0.1", port: this.target, path, method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      answer.on("error", () => response.destroy());
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    this.paths.push(request.url ?? "/");
    if (this.blocksUpgrades) {
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      return;
    }
    const onward = connect(this.target, "127.0.0.1");
    this.#keep(onward);
    const { rawHeaders, method, url } = request;
    const lines = rawHeaders.flatMap((name, index) => (index % 2 === 0 ? `${name}: ${rawHeaders[index + 1] ?? ""}` : []));
    onward.write(`${method ?? "GET"} ${url ?? "/"} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    onward.write(head);
    onward.pipe(socket).pipe(onward);
    onward.on("close", () => socket.destroy());
    socket.on("close", () => onward.destroy());
  }
}
