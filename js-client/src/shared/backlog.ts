/**
 * How many frames may be under way to a tab, and pushes of how many characters, until it says that it reads. More than
 * a message server lets wait for a client (1 MiB): of a burst all is read and handed on before what a tab says to it.
 */
const FRAMES = 4096;
const SIZE = 4_194_304;

/** What was sent to a tab that it hasn't read as far as is known. The browser keeps it, and tells nobody how much it is. */
export class Backlog {
  #sizes: number[] = [];
  #size = 0;
  #read = 0;

  /** True if the tab hangs, or reads slower than messages come. */
  get isFull(): boolean {
    return this.#sizes.length >= FRAMES || this.#size >= SIZE;
  }

  /** Notes a frame. What the tab has asked for has no size: it may be a lot, and the tab asks for no more meanwhile. */
  add(size: number): void {
    this.#sizes.push(size);
    this.#size += size;
  }

  /** The tab has read so many frames since it began. */
  read(count: number): void {
    for (const size of this.#sizes.splice(0, count - this.#read)) {
      this.#read += 1;
      this.#size -= size;
    }
  }
}
