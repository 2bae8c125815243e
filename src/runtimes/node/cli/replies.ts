import type { JsonObject } from "./api-client.ts";

/* Reads the API's JSON, in which zero values are left out. */

export function list(reply: JsonObject, name: string): readonly JsonObject[] {
  const value = reply[name];
  return Array.isArray(value) ? (value as readonly JsonObject[]) : [];
}

export function object(reply: JsonObject, name: string): JsonObject {
  const value = reply[name];
  return typeof value === "object" && value !== null ? (value as JsonObject) : {};
}

export function text(reply: JsonObject, name: string): string {
  const value = reply[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

export function texts(reply: JsonObject, name: string): readonly string[] {
  const value = reply[name];
  return Array.isArray(value) ? value.map(String) : [];
}

/** 64-bit integers come as strings. */
export function integer(reply: JsonObject, name: string): bigint {
  const value = text(reply, name);
  return /^-?\d+$/.test(value) ? BigInt(value) : 0n;
}

export function bytes(reply: JsonObject, name: string): Uint8Array {
  return Buffer.from(text(reply, name), "base64");
}

/** In hex, as etcd's tools write and read ids. */
export function id(reply: JsonObject, name: string): string {
  return integer(reply, name).toString(16);
}

export function base64(value: string | Uint8Array): string {
  return Buffer.from(value).toString("base64");
}
