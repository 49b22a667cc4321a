/** Returns how many bytes a text takes on its way. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/**
 * Splits a frame of commands, one in each line, into frames for which `fits` is true. Needed for the tokens
 * of many channels, which the SDK sends at once. A command that fits nowhere gets a frame of its own.
 */
export function split(frame: string, fits: (frame: string) => boolean): string[] {
  if (fits(frame)) return [frame];
  const frames: string[] = [];
  let current = "";
  for (const command of frame.split("\n")) {
    const longer = current && `${current}\n${command}`;
    if (longer && fits(longer)) {
      current = longer;
    } else {
      if (current) frames.push(current);
      current = command;
    }
  }
  return [...frames, current];
}
