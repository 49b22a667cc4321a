import type { Connection } from "../connection.js";
import { ChannelError } from "../errors.js";
import type { Feed } from "../feed.js";
import { onServer } from "../names.js";
import { createId } from "../tab.js";
import type { EventName, InstantMessage, Outgoing } from "../types.js";
import { frameSize } from "./frame.js";
import { withDetails } from "./refusals.js";

/** The code that a WebSocket closes with after a message that is too large. */
const TOO_LARGE = 1009;
/** The server's code for what is not available. */
const NOT_ASKED = 108;
/** Codes from here on are the server's; others are the SDK's, and stand for a missing answer. */
const FROM_SERVER = 100;

/** A publication that is on its way. */
interface Pending {
  readonly id: string;
  /** The connection that it was sent over. */
  readonly client: string | undefined;
  arrive?: (message: InstantMessage | undefined) => void;
  /** True if nobody waits for it any more. It may arrive all the same, and is then taken for no other. */
  isOver?: boolean;
}

/** What each feed has sent, in order. */
const sent = new WeakMap<Feed, Pending[]>();

/** Returns the pending publication that a message is, and takes it out of the list. */
function claim(list: Pending[], { id, client }: InstantMessage): Pending | undefined {
  let index = list.findIndex((one) => one.id === id);
  // Python may have published something else instead, without that id. The server keeps the order of a connection.
  if (index < 0 && client) index = list.findIndex((one) => one.client === client);
  return index < 0 ? undefined : list.splice(index, 1)[0];
}

/** Returns the list of a feed, whose publications are awaited as long as there are any. */
function pendingOf(feed: Feed): Pending[] {
  const known = sent.get(feed);
  if (known) return known;
  const list: Pending[] = [];
  sent.set(feed, list);
  feed.messages.add((message) => claim(list, message)?.arrive?.(message));
  return list;
}

/** Throws `ChannelError` if a publication is too large for the current transport. */
export function checkSize(connection: Connection, channel: string, data: object): void {
  const { sizeLimit } = connection.config;
  const size = frameSize(connection, { publish: { channel: onServer(channel, connection.config.prefix), data } });
  if (size < sizeLimit) return;
  const message = `${channel}: ${String(size)} bytes, the server accepts less than ${String(sizeLimit)}`;
  throw new ChannelError(message, { channel, code: TOO_LARGE });
}

/** The key by which Django knows that nobody is to keep a publication. */
const WHISPER = "instant:whisper";

/** See `Channel.whisper()`. */
export async function whisper(connection: Connection, feed: Feed, eventClass: string, data: unknown): Promise<void> {
  const arrived = await publish(connection, feed, { eventClass, data, [WHISPER]: true } as Outgoing<EventName, unknown>);
  if (arrived?.offset === undefined) return;
  const { name: channel } = feed;
  throw new ChannelError(`${channel}: the server did not ask Django, and keeps it: client_publish = "ask"`, { channel, code: NOT_ASKED });
}

/** See `Channel.publish()`. */
export async function publish(
  connection: Connection,
  feed: Feed,
  { id = createId(), eventClass, ...rest }: Outgoing<EventName, unknown>,
): Promise<InstantMessage | undefined> {
  const { name } = feed;
  const body = { channel: name, ...rest, event_class: eventClass, id, tab: connection.tab };
  try {
    return await feed.call(async (subscription) => {
      checkSize(connection, name, body);
      const list = pendingOf(feed);
      const client = [...connection.clients].at(-1);
      // Of an earlier connection nothing comes without its id.
      for (const one of list.filter(({ isOver }) => isOver)) if (one.client !== client) list.splice(list.indexOf(one), 1);
      const pending: Pending = { id, client };
      const arrived = new Promise<InstantMessage | undefined>((arrive) => {
        pending.arrive = arrive;
      });
      list.push(pending);
      try {
        await subscription.publish(body);
        // What the server has accepted comes at once, or was lost on the way.
        setTimeout(() => pending.arrive?.(undefined), connection.config.timeout);
        return feed.sequence.seen.get(id) ?? (await arrived);
      } catch (error) {
        if ((error as ChannelError).code >= FROM_SERVER) list.splice(list.indexOf(pending), 1);
        throw error;
      } finally {
        pending.isOver = true;
      }
    });
  } catch (error) {
    const { client, hasEnded } = connection;
    // Who may publish need not be allowed to listen. The SDK waits for the connection.
    if (feed.status !== "denied" || hasEnded || !client) throw withDetails(error);
    checkSize(connection, name, body);
    await client.publish(onServer(name, connection.config.prefix), body).catch((cause: unknown) => {
      const { message, code } = cause as ChannelError;
      throw withDetails(new ChannelError(message, { channel: name, code, cause }));
    });
    return undefined;
  }
}
