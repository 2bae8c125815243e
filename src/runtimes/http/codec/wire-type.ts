/** What stands before a field's content (https://protobuf.dev/programming-guides/encoding/#structure). */
export function tagOf(number: number, wireType: number): number {
  return number * 8 + wireType;
}
