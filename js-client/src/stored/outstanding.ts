import type { Connection } from "../connection.js";
import type { Feed } from "../feed.js";
import type { InstantMessage, OutstandingOptions } from "../types.js";

/** How many messages Django returns at once. */
const LIMIT = 100;

interface Answer {
  readonly messages: readonly { readonly payload: unknown }[];
  readonly next: number | null;
}

/** What a page of messages is, and where the next one begins. */
export interface Page {
  readonly messages: readonly InstantMessage[];
  readonly next: number | null;
}

/** Asks Django for messages of a channel that the user hasn't acknowledged, oldest first. */
export async function ask({ django, grants }: Connection, feed: Feed, after: number | null, limit = LIMIT): Promise<Page> {
  const { subject: user } = grants;
  const { body } = await django.post("messages", { channel: feed.name, after, limit, ...(user && { user }) }, "outstanding/");
  const { messages, next } = body as unknown as Answer;
  return { messages: messages.map(({ payload: data }) => feed.message({ channel: feed.name, data }, true)), next };
}

/** See `Channel.outstanding()`. */
export async function outstanding(connection: Connection, feed: Feed, { limit = LIMIT }: OutstandingOptions): Promise<InstantMessage[]> {
  const found: InstantMessage[] = [];
  let next: number | null = null;
  do {
    const page: Page = await ask(connection, feed, next, Math.min(limit - found.length, LIMIT));
    found.push(...page.messages);
    ({ next } = page);
  } while (next !== null && found.length < limit);
  return found;
}
