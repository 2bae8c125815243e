import type { Counts } from "./counting-store.ts";

/** US dollars for a million, list prices of autumn 2026 (us-east-1 and the like). */
export interface Prices {
  readonly name: string;
  readonly ofMillion: { readonly [count in keyof Counts]?: number };
}

export const S3: Prices = { name: "S3", ofMillion: { puts: 5, lists: 5, gets: 0.4 } };
export const GCS: Prices = { name: "GCS", ofMillion: { puts: 5, lists: 5, gets: 0.4 } };
export const R2: Prices = { name: "R2", ofMillion: { puts: 4.5, lists: 4.5, gets: 0.36 } };
export const DYNAMODB: Prices = { name: "DynamoDB", ofMillion: { writeUnits: 0.625, readUnits: 0.125 } };

const SECONDS_A_MONTH = (365.25 * 24 * 3600) / 12;

/** What a month would cost at the pace of those seconds, requests alone: no storage, no traffic. */
export function dollarsAMonth({ ofMillion }: Prices, counts: Counts, seconds: number): number {
  const names = Object.keys(ofMillion) as (keyof Counts)[];
  const dollars = names.reduce((sum, name) => sum + (counts[name] * (ofMillion[name] ?? 0)) / 1e6, 0);
  return (dollars / seconds) * SECONDS_A_MONTH;
}
