/** Centrifugo's error code for “permission denied”. */
const PERMISSION_DENIED = 103;

/**
 * Asks the message server over the socket, and Django only if the server's config does not allow
 * subscribers to ask. When both refuse, rejects with the message server's error.
 */
export async function orDjango<Answer>(answer: Promise<Answer>, askDjango: () => Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if ((error as { code?: number }).code !== PERMISSION_DENIED) throw error;
    return askDjango().catch((cause: unknown) => {
      // By its name, because the script that loaded this one has classes of its own.
      throw (cause as Error).name === "RefusedError" ? error : cause;
    });
  }
}
