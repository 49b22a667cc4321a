import type { Subscription } from "centrifuge";

import type { Django } from "./django.js";
import type { PresenceAnswer } from "./presence.js";

/** Centrifugo's error code for “permission denied”. */
export const PERMISSION_DENIED = 103;

/**
 * Asks the message server over the socket, and Django only if the server's config does not allow
 * subscribers to ask. When both refuse, rejects with the message server's error.
 */
export async function ask<Answer>(answer: Promise<Answer>, askDjango: () => Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if ((error as { code?: number }).code !== PERMISSION_DENIED) throw error;
    return askDjango().catch((cause: unknown) => {
      // By its name, because the script that is loaded with the first call has classes of its own.
      throw (cause as Error).name === "RefusedError" ? error : cause;
    });
  }
}

/** Returns the clients that are in a channel. */
export function askPresence(subscription: Subscription, django: Django): Promise<PresenceAnswer> {
  return ask<PresenceAnswer>(subscription.presence(), () => django.presence(subscription.channel));
}
