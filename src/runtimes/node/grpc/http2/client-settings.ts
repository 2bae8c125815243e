import {
  broken,
  DEFAULT_FRAME_BYTES,
  DEFAULT_TABLE_BYTES,
  DEFAULT_WINDOW_BYTES,
  MAX_WINDOW_BYTES,
  overflow,
  Setting,
  wrongSize,
} from "./protocol.ts";

/** How a client wants to be spoken to (RFC 9113, section 6.5). */
export class ClientSettings {
  /** What it takes of a call before it has said more. */
  callWindowBytes: number = DEFAULT_WINDOW_BYTES;
  maxFrameBytes: number = DEFAULT_FRAME_BYTES;
  /** What it was told that we use of its table of headers. */
  #tableBytes = DEFAULT_TABLE_BYTES;
  #owesTableSize = false;

  /** @throws Http2Problem for what no client may want. */
  read(payload: Uint8Array): void {
    if (payload.length % 6 !== 0) throw wrongSize();
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    for (let at = 0; at < payload.length; at += 6) this.#set(view.getUint16(at), view.getUint32(at + 2));
  }

  /**
   * What is to stand before the next headers: who makes the table smaller waits to be told that it is (RFC 7541, section
   * 4.2), and takes no headers without. We use none of it, and say so once.
   */
  takeTableSize(): Uint8Array | null {
    if (!this.#owesTableSize) return null;
    this.#owesTableSize = false;
    this.#tableBytes = 0;
    return TABLE_OF_NOTHING;
  }

  #set(name: number, value: number): void {
    switch (name) {
      case Setting.headerTableSize:
        if (value < this.#tableBytes) this.#owesTableSize = true;
        return;
      case Setting.enablePush:
        if (value > 1) throw broken("a switch is on or off");
        return;
      case Setting.initialWindowSize:
        if (value > MAX_WINDOW_BYTES) throw overflow();
        this.callWindowBytes = value;
        return;
      case Setting.maxFrameSize:
        if (value < DEFAULT_FRAME_BYTES || value > 0xffffff) throw broken("frames of no such size");
        this.maxFrameBytes = value;
        return;
    }
  }
}

const TABLE_OF_NOTHING = Uint8Array.of(0x20);
