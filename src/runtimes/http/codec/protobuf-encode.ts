import { BinaryWriter, UINT32_MAX, WireType } from "@bufbuild/protobuf/wire";
import type { FieldInfo, Kind, Message, MessageInfo } from "./schema.ts";
import { tagOf } from "./wire-type.ts";

/**
 * Writes a message in protobuf's binary format, after `prefix` bytes that are left zero for whatever is to stand in
 * front of it.
 */
export type ProtobufEncoder<T> = (value: T, prefix: number) => Uint8Array<ArrayBuffer>;

type Write = (writer: BinaryWriter, value: unknown) => void;

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
  #writer = new BinaryWriter();
  readonly #compiled = new Map<MessageInfo, Write>();

  of<T>(message: Message<T>): ProtobufEncoder<T> {
    const write = this.#message(message);
    return (value, prefix) => {
      const writer = this.#writer;
      try {
        for (let i = 0; i < prefix; i++) writer.bool(false);
        write(writer, value);
        const bytes = writer.finish();
        if (bytes.length > MAX_KEPT_BYTES) this.#writer = new BinaryWriter();
        return bytes;
      } catch (error) {
        // Else the next message would have the remains of this one in it.
        this.#writer = new BinaryWriter();
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
      for (const field of fields) {
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
        return nonEmpty(bytes(number));
      case "string":
        return nonEmpty(text(number));
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
        return each(bytes(number));
      case "string":
        return each(text(number));
      case "message":
        return each(delimited(number, this.#message(kind.message())));
      default:
        return nonEmpty(delimited(number, each(scalar(kind))));
    }
  }
}

type Integer = Extract<Kind, { readonly type: "int64" | "uint64" }>;

function scalar(kind: Kind): Write {
  switch (kind.type) {
    case "bool":
      return (writer, value) => void writer.bool(value === true);
    case "enum": {
      const numbers = new Map<unknown, number>(
        kind.enumeration.values.map((value, number) => [value, number]),
      );
      return (writer, value) => void writer.uint32(numbers.get(value) ?? 0);
    }
    default: {
      const { type, as } = kind as Integer;
      if (as === "number") return writeNumber;
      return type === "int64"
        ? (writer, value) => void writer.int64(value as bigint)
        : (writer, value) => void writer.uint64(value as bigint);
    }
  }
}

/** A number with its tag, or nothing for zero. */
function tagged(number: number, kind: Kind): Write {
  const tag = tagOf(number, WireType.Varint);
  const write = scalar(kind);
  const zero: unknown = kind.type === "bool" ? false : kind.type === "enum" ? kind.enumeration.values[0] : 0;
  return (writer, value) => {
    if (value === zero || value === 0n) return;
    writer.uint32(tag);
    write(writer, value);
  };
}

function delimited(number: number, write: Write): Write {
  const tag = tagOf(number, WireType.LengthDelimited);
  return (writer, value) => {
    writer.uint32(tag).fork();
    write(writer, value);
    writer.join();
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
    for (const item of items) write(writer, item);
  };
}

function bytes(number: number): Write {
  const tag = tagOf(number, WireType.LengthDelimited);
  return (writer, value) => void writer.uint32(tag).bytes(value as Uint8Array);
}

function text(number: number): Write {
  const tag = tagOf(number, WireType.LengthDelimited);
  return (writer, value) => void writer.uint32(tag).string(value as string);
}

/** Revisions and counts are small for long, and are then written without a bigint. */
function writeNumber(writer: BinaryWriter, value: unknown): void {
  const number = value as number;
  if (number >= 0 && number <= UINT32_MAX) writer.uint32(number);
  else writer.int64(number);
}

/** A writer keeps the buffer of the largest message that it has written. */
const MAX_KEPT_BYTES = 256 << 10;
