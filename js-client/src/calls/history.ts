import type { HistoryResult } from "centrifuge";

import type { Connection } from "../connection.js";
import type { Feed } from "../feed.js";
import type { History, HistoryOptions } from "../types.js";
import { orDjango } from "./or-django.js";

/** How many messages `history()` asks for by default, and the most that Django returns. */
const LIMIT = 100;

/** See `Channel.history()`. */
export async function history(
  { django }: Connection,
  feed: Feed,
  { limit = LIMIT, since, newestFirst: reverse = false }: HistoryOptions,
): Promise<History> {
  const wanted = { limit, reverse, ...(since && { since }) };
  const { publications, offset, epoch } = await feed.call((subscription) =>
    orDjango(subscription.history(wanted), async () => {
      const { body } = await django.post("history", { channel: subscription.channel, ...wanted, limit: Math.min(limit, LIMIT) });
      return body as unknown as HistoryResult;
    }),
  );
  return { messages: publications.map((publication) => feed.message(publication, false)), offset, epoch };
}
