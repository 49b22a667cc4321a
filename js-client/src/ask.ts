import type { HistoryResult, Subscription } from "centrifuge";

import type { Django } from "./django.js";
import { RefusedError } from "./errors.js";
import type { PresenceAnswer } from "./presence.js";
import type { HistoryOptions } from "./types.js";

/** How many messages `history()` asks for by default, and the most that Django returns. */
const LIMIT = 100;
/** Centrifugo's error code for “permission denied”. */
export const PERMISSION_DENIED = 103;

/**
 * Asks the message server over the socket, and Django only if the server's config does not allow
 * subscribers to ask. When both refuse, rejects with the message server's error.
 */
async function ask<Answer>(answer: Promise<Answer>, askDjango: () => Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if ((error as { code?: number }).code !== PERMISSION_DENIED) throw error;
    return askDjango().catch((cause: unknown) => {
      throw cause instanceof RefusedError ? error : cause;
    });
  }
}

/** Returns the clients that are in a channel. */
export function askPresence(subscription: Subscription, django: Django): Promise<PresenceAnswer> {
  return ask<PresenceAnswer>(subscription.presence(), () => django.presence(subscription.channel));
}

/** Returns past publications of a channel. */
export function askHistory(
  subscription: Subscription,
  django: Django,
  { limit = LIMIT, since, newestFirst: reverse = false }: HistoryOptions,
): Promise<HistoryResult> {
  const wanted = { limit, reverse, ...(since && { since }) };
  return ask(subscription.history(wanted), () =>
    django.history(subscription.channel, { ...wanted, limit: Math.min(limit, LIMIT) }),
  );
}
