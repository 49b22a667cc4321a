/** Returns the message server's name of a channel, given what a tenant's names begin with there. */
export function onServer(name: string, prefix: string): string {
  return name.replace(/.*?:|\$?/, `$&${prefix}`);
}
