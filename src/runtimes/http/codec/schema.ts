/*
 * How protobuf messages are described here: once, as data. The JSON codec is compiled from these descriptions,
 * and any other wire format can be. A description is typed by the TypeScript value it stands for, so that the
 * compiler refuses a field that is missing, misnamed or of the wrong kind.
 */

/** What a field holds. 64-bit integers say whether they are numbers (revisions, counts) or bigints (ids) inside. */
export type Kind =
  | { readonly type: "bytes" | "string" | "bool" }
  | {
      readonly type: "int64" | "uint64";
      readonly as: "number" | "bigint";
      /** It has 32 bits, and so is a number in JSON, where 64 bits are a string. */
      readonly short?: true;
    }
  | { readonly type: "enum"; readonly enumeration: Enumeration }
  /** A function, because messages may contain themselves. */
  | { readonly type: "message"; readonly message: () => MessageInfo };

/** The values of an enum. A value's protobuf number is its place in the lists. */
export interface Enumeration {
  readonly name: string;
  /** As protobuf spells them, and JSON. */
  readonly names: readonly string[];
  /** As TypeScript does. */
  readonly values: readonly string[];
  /** The error for a number that stands for nothing; absent: `invalidArgument`. */
  readonly unknownNumber?: "invalidSortOption";
}

/** One field, its TypeScript type erased. */
export interface FieldInfo {
  /** The protobuf field number; null for our own extensions, which exist in JSON alone. */
  readonly number: number | null;
  /** The protobuf name, where it is not the property's name in snake_case. */
  readonly name?: string;
  readonly repeated: boolean;
  readonly kind: Kind;
}

/** One field that holds a `T`. */
export interface Field<T> extends FieldInfo {
  /** For the compiler alone. */
  readonly valueType?: T;
}

/** A message, its TypeScript type erased. */
export type MessageInfo = RecordInfo | UnionInfo;

/** A message whose fields are properties of one object. */
export interface RecordInfo {
  readonly shape: "record";
  readonly name: string;
  /** The value when no field is given. */
  readonly create: () => object;
  /** By property, in the order in which they are written. */
  readonly fields: ReadonlyMap<string, FieldInfo>;
  /** Turns the bare fields into the value they stand for. */
  readonly finish: ((fields: object) => object) | null;
}

/** A message that is nothing but one oneof of messages: `{type, [payload]: message}` in TypeScript. */
export interface UnionInfo {
  readonly shape: "union";
  readonly name: string;
  /** The property that holds the message. */
  readonly payload: string;
  readonly cases: ReadonlyMap<string, UnionCase>;
}

export interface UnionCase {
  readonly number: number;
  /** The protobuf name. */
  readonly name: string;
  readonly message: () => MessageInfo;
}

/** A message that stands for a `T`. */
export type Message<T> = MessageInfo & {
  /** For the compiler alone. */
  readonly valueType?: T;
};

export function bytes(number: number): Field<Uint8Array> {
  return { number, repeated: false, kind: { type: "bytes" } };
}

export function bytesList(number: number): Field<readonly Uint8Array[]> {
  return { number, repeated: true, kind: { type: "bytes" } };
}

export function text(number: number | null, name?: string): Field<string> {
  return named({ number, repeated: false, kind: { type: "string" } }, name);
}

export function texts(number: number, name?: string): Field<readonly string[]> {
  return named({ number, repeated: true, kind: { type: "string" } }, name);
}

export function bool(number: number | null, name?: string): Field<boolean> {
  return named({ number, repeated: false, kind: { type: "bool" } }, name);
}

/** An int64 that the engine keeps as a safe integer. */
export function int64(number: number | null, name?: string): Field<number> {
  return named({ number, repeated: false, kind: { type: "int64", as: "number" } }, name);
}

/** An int64 of which every bit counts. */
export function bigInt64(number: number | null, name?: string): Field<bigint> {
  return named({ number, repeated: false, kind: { type: "int64", as: "bigint" } }, name);
}

/** A uint64 that the engine keeps as a safe integer. */
export function uint64(number: number, name?: string): Field<number> {
  return named({ number, repeated: false, kind: { type: "uint64", as: "number" } }, name);
}

export function uint32(number: number): Field<number> {
  return { number, repeated: false, kind: { type: "uint64", as: "number", short: true } };
}

/** A uint64 of which every bit counts. */
export function bigUint64(number: number, name?: string): Field<bigint> {
  return named({ number, repeated: false, kind: { type: "uint64", as: "bigint" } }, name);
}

/** `values` pairs protobuf's names with TypeScript's, in the order of their numbers. */
export function enumOf<T extends string>(
  number: number | null,
  name: string,
  values: { readonly [V in T]: string },
  unknownNumber?: "invalidSortOption",
): Field<T> {
  return { number, repeated: false, kind: enumKind(name, values, unknownNumber) };
}

/** As {@link enumOf}, any number of times. */
export function enumList<T extends string>(
  number: number,
  name: string,
  values: { readonly [V in T]: string },
): Field<readonly T[]> {
  return { number, repeated: true, kind: enumKind(name, values) };
}

export function nested<T>(number: number | null, message: () => Message<T>): Field<T> {
  return { number, repeated: false, kind: { type: "message", message } };
}

export function list<T>(number: number, message: () => Message<T>): Field<readonly T[]> {
  return { number, repeated: true, kind: { type: "message", message } };
}

/** A field for every property of `T`. */
export type FieldsOf<T> = { readonly [K in keyof T]-?: Field<NonNullable<T[K]>> };

/** Describes a message whose fields are `T`'s properties. `create` makes the value of an empty message. */
export function message<T extends object>(name: string, create: () => T, fields: FieldsOf<T>): Message<T> {
  return { shape: "record", name, create, fields: fieldMap(fields), finish: null };
}

/** Describes a message that is first read as `F` and then turned into a `T`. */
export function messageInto<F extends object, T extends object>(
  name: string,
  create: () => F,
  fields: FieldsOf<F>,
  finish: (fields: F) => T,
): Message<T> {
  return { shape: "record", name, create, fields: fieldMap(fields), finish: (read) => finish(read as F) };
}

/** Describes a message that is one oneof of messages. */
export function union<P extends string, T extends { readonly type: string } & { readonly [K in P]: unknown }>(
  name: string,
  payload: P,
  cases: {
    readonly [K in T["type"]]: {
      readonly number: number;
      readonly name: string;
      readonly message: () => Message<Extract<T, { readonly type: K }>[P]>;
    };
  },
): Message<T> {
  return { shape: "union", name, payload, cases: new Map(Object.entries<UnionCase>(cases)) };
}

/** The name of a field in protobuf, and in the JSON we write. */
export function fieldName(property: string, field: FieldInfo): string {
  return field.name ?? property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** protobuf's lowerCamelCase JSON name of a field, which JSON may also use on the way in. */
export function camelName(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function enumKind(
  name: string,
  values: Readonly<Record<string, string>>,
  unknownNumber?: "invalidSortOption",
): Kind {
  const enumeration = { name, names: Object.values(values), values: Object.keys(values) };
  return {
    type: "enum",
    enumeration: unknownNumber === undefined ? enumeration : { ...enumeration, unknownNumber },
  };
}

function fieldMap(fields: object): ReadonlyMap<string, FieldInfo> {
  return new Map(Object.entries<FieldInfo>(fields as Record<string, FieldInfo>));
}

function named<T>(field: Field<T>, name: string | undefined): Field<T> {
  return name === undefined ? field : { ...field, name };
}
