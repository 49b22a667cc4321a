import type { HistoryResult, Subscription } from "centrifuge";

import type { Django } from "./django.js";
import { RefusedError } from "./errors.js";
import type { PresenceAnswer } from "./presence.js";
import type { HistoryOptions } from "./types.js";

/** Messages that are asked for where nobody says how many, and the most that Django tells. */
const LIMIT = 100;
/** Centrifugo's error for what is not allowed. */
export const PERMISSION_DENIED = 103;

/**
 * Asks over the socket, which costs Django nothing; and Django, where the message server's config keeps the
 * answer from its subscribers. A "no" of both is the server's error.
 */
async function ask<Answer>(answer: Promise<Answer>, instead: () => Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if ((error as { code?: number }).code !== PERMISSION_DENIED) throw error;
    return instead().catch((cause: unknown) => {
      throw cause instanceof RefusedError ? error : cause;
    });
  }
}

/** Who is in a channel. */
export function askPresence(subscription: Subscription, django: Django): Promise<PresenceAnswer> {
  return ask<PresenceAnswer>(subscription.presence(), () => django.presence(subscription.channel));
}

/** What was published in a channel. */
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
