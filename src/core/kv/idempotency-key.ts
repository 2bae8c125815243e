/** 1 to 64 printable ASCII characters but for quotes and backslashes, which headers would have to escape. */
export function isIdempotencyKey(text: string): boolean {
  return /^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/.test(text);
}
