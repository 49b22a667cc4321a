/** What pages hear of a channel without JavaScript of their own: events, which bubble from an element. */
import type { Channel } from "../channel.js";
import type { ChannelStatus, InstantMessage, Position } from "../types.js";

/** Dispatches an event from an element; false where a listener has called `preventDefault()`. */
export function tell(element: Element, name: string, detail: unknown): boolean {
  return element.dispatchEvent(new CustomEvent(name, { bubbles: true, cancelable: true, detail }));
}

/**
 * Tells of a channel what happens, until the function that it returns is called.
 *
 * `instant:message`, with the message, for those that `wants` lets through; `instant:open` when messages arrive from
 * now on, after each connection; `instant:lost` when some were lost, and `instant:denied`, with the channel. `then` gets
 * each message whose event no listener has prevented. `since` is the position from which they are heard.
 */
export function follow(
  element: Element,
  channel: Channel,
  wants: (message: InstantMessage) => boolean,
  then: (message: InstantMessage) => void,
  since?: Position,
): () => void {
  const over = new AbortController();
  const { signal } = over;
  let isOpen = false;
  let isDenied = false;
  const hear = (status: ChannelStatus): void => {
    const wasOpen = isOpen;
    const wasDenied = isDenied;
    isOpen = status === "live" || status === "lost";
    isDenied = status === "denied";
    if (isOpen && !wasOpen) tell(element, "instant:open", { channel: channel.name });
    if (isDenied && !wasDenied) tell(element, "instant:denied", { channel: channel.name, denial: channel.denial });
  };
  channel.on("*", (message) => {
    if (!wants(message) || tell(element, "instant:message", message)) then(message);
  }, { signal, ...(since && { since }) });
  channel.onLost((lost) => { tell(element, "instant:lost", lost); }, { signal });
  channel.onStatus(hear, { signal });
  // Another element may listen already. Whoever inserts this one hears of it when that is done.
  queueMicrotask(() => { if (!signal.aborted) hear(channel.status); });
  return () => { over.abort(); };
}
