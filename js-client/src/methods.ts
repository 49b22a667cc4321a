/**
 * The methods that Python answers, with their arguments and results. `manage.py instanttypes` writes them:
 *
 * ```ts
 * declare module "djangoinstant" {
 *   interface InstantMethods { "cart.add": { arguments: { product: number }; result: { total: number } } }
 * }
 * ```
 *
 * After that `instant.rpc("cart.add", { product: 7 })` is typed, and no other methods are allowed.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- filled by module augmentation
export interface InstantMethods {}

/** What is said of a declared method. */
interface Declared {
  readonly arguments: unknown;
  readonly result: unknown;
}

/** What `rpc()` resolves with. */
export type ResultOf<Name extends keyof InstantMethods> = InstantMethods[Name] extends Declared
  ? InstantMethods[Name]["result"]
  : unknown;

/** What a method takes. */
type ArgumentsOf<Name extends keyof InstantMethods> = InstantMethods[Name] extends Declared
  ? InstantMethods[Name]["arguments"]
  : unknown;

/** What stands behind a method's name: its arguments, where it needs some, and options. */
export type Given<Name extends keyof InstantMethods, Options> = undefined extends ArgumentsOf<Name>
  ? [data?: ArgumentsOf<Name>, options?: Options]
  : Record<string, never> extends ArgumentsOf<Name>
    ? [data?: ArgumentsOf<Name>, options?: Options]
    : [data: ArgumentsOf<Name>, options?: Options];

/** Any method, until `InstantMethods` has entries. */
export type AnyMethod = [keyof InstantMethods] extends [never] ? string : never;
