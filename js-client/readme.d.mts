export const readme: string;
export const blocks: { readonly language: string; readonly code: string }[];
export function blocksIn(language: string): string[];
export function modules(): string[];
