/** RFC 6455's status codes, of which the server uses these. */
export const SocketCode = { normal: 1000, refused: 1008, failed: 1011 } as const;

/** A connection that its server may forget and be given again, as a Durable Object's that hibernates. */
export interface SessionSocket {
  /** Takes the text at once, and never throws. */
  send(text: string): void;
  close(code: number): void;
}

/** One on which something is told again and again. */
export interface LastingSocket<Saved> extends SessionSocket {
  /** Keeps what the next life of this session begins with; in the same turn as what was sent before. */
  keep(saved: Saved): void;
  /** Resolves when more may be sent. */
  room(): Promise<void>;
}

/** What is said on one connection, from one loss of memory to the next. */
export interface Session {
  /** A text has come. Resolves when it has been obeyed as far as it can be now. */
  receive(text: string): Promise<void>;
  /** Keeps how far it has got, though nothing was sent. */
  keep(): void;
  /** Nobody listens any more. */
  close(): void;
}
