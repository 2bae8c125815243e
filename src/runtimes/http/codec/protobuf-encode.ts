import { ProtobufWriter } from "./protobuf-writer.ts";
import type { FieldInfo, Kind, Message, MessageInfo } from "./schema.ts";
import { LENGTH_DELIMITED, tagOf, VARINT } from "./wire-type.ts";

/**
 * Writes a message in protobuf's binary format, after `prefix` bytes that are left zero for whatever is to stand in
 * front of it.
 */
export type ProtobufEncoder<T> = (value: T, prefix: number) => Uint8Array<ArrayBuffer>;

/** Writes a value, from its end to its beginning. */
type Write = (writer: ProtobufWriter, value: unknown) => void;

interface CompiledField {
  readonly property: string;
  /** Tag and all; nothing for a zero value. */
  readonly write: Write;
}

/**
 * Compiles descriptions into encoders: fields in the order of their numbers, zero values omitted, a message that is
 * present written even when it is empty, numbers of a list packed. The output is what Go's gogo/protobuf writes.
 * What has no number is not there.
 */
export class ProtobufEncoders {
  readonly #writer = new ProtobufWriter();
  readonly #compiled = new Map<MessageInfo, Write>();

  of<T>(message: Message<T>): ProtobufEncoder<T> {
    const write = this.#message(message);
    const writer = this.#writer;
    return (value, prefix) => {
      try {
        write(writer, value);
        return writer.take(prefix);
      } catch (error) {
        // Else the next message would have the remains of this one in it.
        writer.clear();
        throw error;
      }
    };
  }

  #message(message: MessageInfo): Write {
    const known = this.#compiled.get(message);
    if (known !== undefined) return known;
    return message.shape === "record" ? this.#record(message) : this.#union(message);
  }

  #record(message: MessageInfo & { readonly shape: "record" }): Write {
    const fields: CompiledField[] = [];
    const write: Write = (writer, value) => {
      const record = value as Readonly<Record<string, unknown>>;
      for (let i = fields.length - 1; i >= 0; i--) {
        const field = fields[i]!;
        const content = record[field.property];
        if (content !== undefined && content !== null) field.write(writer, content);
      }
    };
    // Known before its fields are compiled, since one of them may be of this very type.
    this.#compiled.set(message, write);
    const numbered = [...message.fields].filter(([, { number }]) => number !== null);
    for (const [property, field] of numbered.toSorted(([, a], [, b]) => a.number! - b.number!)) {
      fields.push({ property, write: this.#field(field, field.number!) });
    }
    return write;
  }

  #union(message: MessageInfo & { readonly shape: "union" }): Write {
    const cases = new Map<unknown, Write>();
    const { payload } = message;
    const write: Write = (writer, value) => {
      const record = value as Readonly<Record<string, unknown>>;
      cases.get(record["type"])?.(writer, record[payload]);
    };
    this.#compiled.set(message, write);
    for (const [type, { number, message: content }] of message.cases) {
      cases.set(type, delimited(number, this.#message(content())));
    }
    return write;
  }

  #field({ kind, repeated }: FieldInfo, number: number): Write {
    if (repeated) return this.#list(kind, number);
    switch (kind.type) {
      case "bytes":
        return nonEmpty(delimited(number, writeBytes));
      case "string":
        return nonEmpty(delimited(number, writeText));
      case "message":
        return delimited(number, this.#message(kind.message()));
      default:
        return tagged(number, kind);
    }
  }

  /** Within a list nothing is left out, not even an empty string. */
  #list(kind: Kind, number: number): Write {
    switch (kind.type) {
      case "bytes":
        return each(delimited(number, writeBytes));
      case "string":
        return each(delimited(number, writeText));
      case "message":
        return each(delimited(number, this.#message(kind.message())));
      default:
        return nonEmpty(delimited(number, each(scalar(kind))));
    }
  }
}

type Scalar = Exclude<Kind, { readonly type: "bytes" | "string" | "message" }>;

function scalar(kind: Kind): Write {
  switch (kind.type) {
    case "bool":
      return (writer, value) => writer.byte(value === true ? 1 : 0);
    case "enum": {
      const numbers = new Map<unknown, number>(
        kind.enumeration.values.map((value, number) => [value, number]),
      );
      return (writer, value) => writer.varint(numbers.get(value) ?? 0);
    }
    default:
      return (kind as Scalar & { readonly as?: string }).as === "number" ? writeNumber : writeBigint();
  }
}

/** A number with its tag, or nothing for zero. */
function tagged(number: number, kind: Kind): Write {
  const tag = tagOf(number, VARINT);
  const write = scalar(kind);
  const zero: unknown = kind.type === "bool" ? false : kind.type === "enum" ? kind.enumeration.values[0] : 0;
  return (writer, value) => {
    if (value === zero || value === 0n) return;
    write(writer, value);
    writer.varint(tag);
  };
}

function delimited(number: number, write: Write): Write {
  const tag = tagOf(number, LENGTH_DELIMITED);
  return (writer, value) => {
    const before = writer.length;
    write(writer, value);
    writer.varint(writer.length - before);
    writer.varint(tag);
  };
}

function nonEmpty(write: Write): Write {
  return (writer, value) => {
    if ((value as { readonly length: number }).length > 0) write(writer, value);
  };
}

function each(write: Write): Write {
  return (writer, value) => {
    const items = value as readonly unknown[];
    for (let i = items.length - 1; i >= 0; i--) write(writer, items[i]);
  };
}

function writeBytes(writer: ProtobufWriter, value: unknown): void {
  writer.raw(value as Uint8Array);
}

function writeText(writer: ProtobufWriter, value: unknown): void {
  writer.text(value as string);
}

function writeNumber(writer: ProtobufWriter, value: unknown): void {
  if ((value as number) < 0) writer.varint64(BigInt(value as number));
  else writer.varint(value as number);
}

/** Remembers the last one: cluster and member ids, the only bigints of a hot path, hardly ever change. */
function writeBigint(): Write {
  let last = 0n;
  let bytes: Uint8Array = Uint8Array.of(0);
  return (writer, value) => {
    if (value !== last) {
      last = value as bigint;
      const alone = new ProtobufWriter(10);
      alone.varint64(last);
      bytes = alone.take(0);
    }
    writer.raw(bytes);
  };
}
