/**
 * The iterator that `each()` returns: an async generator whose values are pushed from outside.
 *
 * A generator function would not do. Its body runs from the first `next()`, so that earlier messages would
 * be missed; and its `return()` waits for a pending `next()`.
 */
export class MessageQueue<Message> implements AsyncGenerator<Message, void, undefined> {
  /** Removes the listener that pushes, which calls `end()`. */
  remove: () => void = () => undefined;
  readonly #messages: Message[] = [];
  readonly #pending: ((result: IteratorResult<Message, void>) => void)[] = [];
  #isOver = false;

  /** Hands a message to the first pending `next()`, or queues it. */
  push(message: Message): void {
    const resolve = this.#pending.shift();
    if (resolve) resolve({ value: message, done: false });
    else this.#messages.push(message);
  }

  /** Ends the iteration. Messages that are queued are dropped. */
  end(): void {
    this.#isOver = true;
    for (const resolve of this.#pending) resolve({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<Message, void>> {
    return new Promise((resolve) => {
      const [message] = this.#messages;
      if (this.#isOver) resolve({ value: undefined, done: true });
      else if (message === undefined) this.#pending.push(resolve);
      else resolve({ value: this.#messages.shift() as Message, done: false });
    });
  }

  return(): Promise<IteratorResult<Message, void>> {
    this.remove();
    return this.next();
  }

  async throw(error: unknown): Promise<IteratorResult<Message, void>> {
    await this.return();
    throw error as Error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
