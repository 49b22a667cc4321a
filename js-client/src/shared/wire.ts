/** What of Centrifugo's JSON protocol is read here. All else passes through as it is. */
export interface Publication {
  readonly data?: unknown;
  readonly offset?: number;
  readonly epoch?: string;
  readonly info?: { readonly client: string };
}

export interface SubscribeRequest {
  readonly channel: string;
  readonly token?: string;
  readonly recover?: boolean;
  readonly offset?: number;
  readonly epoch?: string;
  readonly join_leave?: boolean;
  readonly flag?: number;
  readonly delta?: string;
}

export interface SubscribeResult {
  readonly recoverable?: boolean;
  readonly epoch?: string;
  readonly offset?: number;
  readonly was_recovering?: boolean;
  readonly recovered?: boolean;
  readonly publications?: readonly Publication[];
  readonly data?: unknown;
  readonly expires?: boolean;
  readonly ttl?: number;
}

export interface ConnectResult {
  readonly client: string;
  readonly ping?: number;
  readonly pong?: boolean;
  readonly expires?: boolean;
  readonly ttl?: number;
}

export interface Command {
  readonly id?: number;
  readonly connect?: object;
  readonly subscribe?: SubscribeRequest;
  readonly unsubscribe?: { readonly channel: string };
  readonly sub_refresh?: { readonly channel: string; readonly token?: string };
  readonly publish?: { readonly channel: string; readonly data?: unknown };
}

export interface Push {
  readonly channel?: string;
  readonly pub?: Publication;
  readonly unsubscribe?: object;
  readonly disconnect?: { readonly code: number; readonly reason: string };
}

export interface Reply {
  readonly id?: number;
  readonly error?: object;
  readonly connect?: ConnectResult;
  readonly subscribe?: SubscribeResult;
  readonly refresh?: { readonly ttl?: number };
  readonly sub_refresh?: { readonly ttl?: number };
  readonly push?: Push;
}

/** What tokens are compared by. */
export interface Claims {
  readonly sub?: unknown;
  readonly aud?: unknown;
  readonly meta?: unknown;
}

/** Returns what a token says, `undefined` if it is none. Not verified: the message server does that. */
export function claimsOf(token: unknown): Claims | undefined {
  try {
    const payload = (token as string).replace(/.*\.(.*)\..*/, "$1").replace(/-/g, "+").replace(/_/g, "/");
    return JSON.parse(atob(payload)) as Claims;
  } catch {
    return undefined;
  }
}

/** Returns a copy without some of its members. */
export function without<What extends object, Name extends string & keyof What>(what: What, ...names: readonly Name[]): Omit<What, Name> {
  return Object.fromEntries(Object.entries(what).filter(([name]) => !names.includes(name as Name))) as Omit<What, Name>;
}
