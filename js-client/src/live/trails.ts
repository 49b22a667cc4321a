/** What fragments of a page have heard of a channel, together. */
interface Trail {
  readonly epoch: string;
  /** The offset of the newest message, or of the position from which they hear it. */
  offset: number;
  listeners: number;
}

/** Says whether a fragment that comes later has missed what its channel told the others before. */
export class Trails {
  readonly #trails = new Map<string, Trail>();

  /** Begins to hear a channel, which nobody on the page hears. */
  begin(channel: string, epoch: string, offset: number): void {
    this.#trails.set(channel, { epoch, offset, listeners: 0 });
  }

  /** Counts one more listener. */
  join(channel: string): void {
    const trail = this.#trails.get(channel);
    if (trail) trail.listeners += 1;
  }

  leave(channel: string): void {
    const trail = this.#trails.get(channel);
    if (trail && (trail.listeners -= 1) < 1) this.#trails.delete(channel);
  }

  hear(channel: string, offset: number | undefined): void {
    const trail = this.#trails.get(channel);
    if (trail && offset !== undefined) trail.offset = Math.max(trail.offset, offset);
  }

  /** Messages were lost: nothing is known any more. */
  lose(channel: string): void {
    this.#trails.delete(channel);
  }

  /** Tells whether everything after a position has been heard by nobody yet, and will be. */
  reaches(channel: string, epoch: string, offset: number): boolean {
    const trail = this.#trails.get(channel);
    return trail !== undefined && trail.epoch === epoch && trail.offset <= offset;
  }
}
