import { InstantError, ReplyError, RpcError, type ChannelError } from "../errors.js";
import { isRecord, text } from "../json.js";

/** The SDK's codes, which stand for a missing answer: none in time, no connection, and a connection that broke. */
export const TIMEOUT = 1;
export const DISCONNECTED = 3;
export const BROKEN = 11;
/** The code of a call that was cancelled, where the server names no other. */
export const CANCELLED = 499;
export const TOO_LARGE = 413;
const INVALID = 422;
const TOO_MANY = 429;
/** HTTP statuses after which another try may help. */
const TEMPORARY = [TOO_MANY, 502, 503];

interface Refusal {
  readonly code: number;
  readonly message: string;
  readonly temporary?: boolean;
  readonly retryAfter?: number | undefined;
  readonly fields?: Readonly<Record<string, string>>;
}

/** Reads `lines.0.quantity: is wrong; note: is missing`, where a text may have semicolons too. */
function readFields(message: string): Record<string, string> {
  const parts = message.replace(/; and \d+ more$/, "").split(/; (?=[^\s:;]+: )/);
  return Object.fromEntries(
    parts.flatMap((part) => {
      const [, name, problem] = /^([^\s:;]+): ([^]*)$/.exec(part) ?? [];
      return name !== undefined && problem !== undefined ? [[name, problem] as const] : [];
    }),
  );
}

/** Returns the error of a call that was refused, or was not answered. */
export function rpcError(method: string, { code, message, ...more }: Refusal, cause?: unknown): RpcError {
  const {
    temporary = code < 100,
    retryAfter = code === TOO_MANY ? Number(/try again in (\d+) s/.exec(message)?.[1]) || undefined : undefined,
    fields = code === INVALID ? readFields(message) : {},
  } = more;
  return new RpcError(message, { method, code, temporary, retryAfter, fields, ...(cause !== undefined && { cause }) });
}

/** Returns the error of a call that the message server did not answer with a result. */
export function ofSocket(method: string, error: unknown): Error {
  if (error instanceof InstantError) return error;
  const { code, message, temporary = false } = error as Refusal;
  return rpcError(method, code < 100 ? { code, message } : { code, message, temporary }, error);
}

/** Adds to the error of a publication what that of a call says. */
export function withDetails(error: unknown): unknown {
  const { name, code, message, cause } = error as ChannelError;
  // By its name, because the script that loaded this one has classes of its own.
  if (name !== "ChannelError") return error;
  const { temporary = false } = (cause ?? {}) as Partial<Refusal>;
  const { retryAfter, fields, ...more } = rpcError("", code < 100 ? { code, message } : { code, message, temporary });
  return Object.assign(error as ChannelError, { temporary: more.temporary, retryAfter, fields });
}

/** Returns the error of a call that the gateway refused, or of a request that got no answer. */
export function ofGateway(method: string, error: unknown): RpcError {
  // Not by its class, because the script that loaded this one has classes of its own.
  const { status, retryAfter, cause } = error as Partial<ReplyError>;
  if (status === undefined) return rpcError(method, { code: BROKEN, message: "the gateway did not answer" }, error);
  const body = isRecord(cause) ? cause : {};
  const { code = status, fields } = body as Partial<Refusal>;
  const temporary = TEMPORARY.includes(status);
  const message = text(body["error"]) || `unexpected answer with status ${String(status)}`;
  return rpcError(method, { code, message, temporary, ...(retryAfter && { retryAfter }), ...(fields && { fields }) }, error);
}
