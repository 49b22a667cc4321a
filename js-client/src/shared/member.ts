/** A tab as the hub sees it: what it is told. */
export interface Port {
  open(): void;
  /** `pushed` is how many characters of it are pushes: nobody has asked for them. */
  frame(text: string, pushed: number): void;
  end(code: number, reason: string): void;
}

/** A tab that uses the hub's connection. */
export class Member {
  /** What stands behind the connection's id in the tab's own, by which it knows what it published. */
  readonly number: number;
  /** True for the tab that has the connection: only it renews it. */
  readonly isOwn: boolean;
  isConnected = false;
  /** Commands that wait until it is connected. */
  readonly waiting: string[] = [];
  readonly #port: Port;
  #lines: string[] = [];
  #pushed = 0;

  constructor(port: Port, number: number, isOwn: boolean) {
    this.#port = port;
    this.number = number;
    this.isOwn = isOwn;
  }

  open(): void {
    this.#port.open();
  }

  /** Sends a push. */
  push(text: string): void {
    this.#pushed += text.length;
    this.line(text);
  }

  /** Sends a reply. What comes in one moment goes together. */
  line(text: string): void {
    if (this.#lines.push(text) > 1) return;
    queueMicrotask(() => {
      this.#flush();
    });
  }

  end(code: number, reason: string): void {
    this.#flush();
    this.#port.end(code, reason);
  }

  #flush(): void {
    if (this.#lines.length === 0) return;
    const frame = this.#lines.join("\n");
    const pushed = this.#pushed;
    this.#lines = [];
    this.#pushed = 0;
    this.#port.frame(frame, pushed);
  }
}
