import type { Feed } from "./feed.js";
import { RefusedError } from "./errors.js";
import { Listeners } from "./listeners.js";
import type { InstantMessage, Position, Snapshot } from "./types.js";

/**
 * Keeps what one `state()` draws in step with the channel.
 *
 * A state has the position up to which it contains the channel's messages. It is *current* if every later
 * message has arrived or will: then the messages after it are drawn, each once. Otherwise messages wait
 * until Django has been asked for another state.
 */
export class StateView {
  readonly #feed: Feed;
  readonly #draw = new Listeners<InstantMessage | Snapshot>();
  #position: Position | undefined;
  /** The start of the subscription after which the state was asked for. */
  #askedAfter: Position | undefined;
  #waiting: InstantMessage[] = [];
  /** The start of the subscription in which the waiting messages arrived. */
  #waitingSince: Position | undefined;
  #loading: Promise<void> | undefined;
  /** How often messages were lost, and how many of these losses the state is newer than. */
  #losses = 0;
  #mended = 0;
  readonly #signal: AbortSignal;

  /** `draw` gets each state and each message in turn; what it throws is reported and stops nothing. */
  constructor(feed: Feed, signal: AbortSignal, draw: (change: InstantMessage | Snapshot) => void) {
    this.#feed = feed;
    this.#signal = signal;
    this.#draw.add(draw);
    const { pageState: state } = feed;
    if (state) this.#take(state);
    if (!state || feed.sequence.start) this.check();
  }

  /** Called when the channel is live: asks for the state if messages may be missing between it and them. */
  check(): void {
    if (this.#isCurrent) return;
    this.load().catch((error: unknown) => {
      this.#feed.failed(error);
    });
  }

  /** Asks for the state until there is one that is current. Rejects if Django refuses it. */
  load(): Promise<void> {
    return (this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    }));
  }

  /** Asks for a state that is newer than a loss. What is on its way may be older. */
  reload(): Promise<void> {
    this.#losses += 1;
    return this.load();
  }

  receive(message: InstantMessage): void {
    this.#forgetOld();
    this.#waiting.push(message);
    this.#drawWaiting();
  }

  get #isCurrent(): boolean {
    const { start } = this.#feed.sequence;
    const position = this.#position;
    if (!start || !position || this.#losses > this.#mended) return false;
    const isAskedAfter = this.#askedAfter === start;
    // Without a history nothing else is known.
    if (!start.epoch || !position.epoch) return isAskedAfter;
    // With another epoch the server was restarted: the connection is about to notice.
    return start.epoch === position.epoch && (isAskedAfter || start.offset <= position.offset);
  }

  async #load(): Promise<void> {
    const { sequence } = this.#feed;
    for (let failures = 0; !this.#signal.aborted; ) {
      const { start } = sequence;
      const losses = this.#losses;
      try {
        const state = await this.#feed.loadState();
        if (losses !== this.#losses) continue;
        this.#mended = losses;
        this.#take(state, start);
        // Whenever the channel is live again, check() follows.
        if (start === sequence.start || this.#isCurrent) return;
      } catch (error) {
        if (error instanceof RefusedError) {
          // Then messages are all that comes.
          this.#mended = this.#losses;
          this.#drawWaiting();
          throw error;
        }
        this.#feed.failed(error);
        await this.#feed.pause(failures++);
      }
    }
  }

  #take(state: Snapshot, start?: Position): void {
    if (this.#signal.aborted) return;
    this.#position = state;
    this.#askedAfter = start;
    this.#draw.emit(state);
    this.#drawWaiting();
  }

  /** Forgets messages of an earlier subscription between which and this one some were lost: a newer state has them. */
  #forgetOld(): void {
    const { start } = this.#feed.sequence;
    if (start !== this.#waitingSince) this.#waiting = [];
    this.#waitingSince = start;
  }

  #drawWaiting(): void {
    this.#forgetOld();
    if (!this.#isCurrent) return;
    const until = this.#position?.offset ?? 0;
    for (const message of this.#waiting.splice(0)) {
      // Else the state has it already.
      if ((message.offset ?? Infinity) > until) this.#draw.emit(message);
    }
  }
}
