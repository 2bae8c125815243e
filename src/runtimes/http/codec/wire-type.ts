/* How protobuf's binary format says what follows a tag (https://protobuf.dev/programming-guides/encoding/). */

export const VARINT = 0;
export const FIXED_64 = 1;
export const LENGTH_DELIMITED = 2;
export const START_GROUP = 3;
export const END_GROUP = 4;
export const FIXED_32 = 5;

/** What stands before a field's content. */
export function tagOf(number: number, wireType: number): number {
  return number * 8 + wireType;
}
