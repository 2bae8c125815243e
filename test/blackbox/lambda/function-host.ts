export interface FunctionOptions {
  /** The command that asks the Runtime API for work, such as AWS's `aws-lambda-ric`, without the handler's name. */
  readonly runtime: readonly string[];
  /** AWS's Runtime Interface Emulator, which starts that command; without it our own Runtime API does. */
  readonly emulator: string | null;
  /** Where the bundle is, and which of its exports is the handler: `index.handler`. */
  readonly dir: string;
  readonly handler: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly logFile: string;
}

/** What hands invocations to a function's process, one at a time. */
export interface FunctionHost {
  readonly isAlive: boolean;
  /** The process group of the function, for signals; null while it has none. */
  processGroup(): number | null;
  /**
   * What the function returned, once it has asked for the next invocation: from then on it may be frozen. Rejects when
   * it failed, did not answer in time, or ended.
   */
  invoke(event: object): Promise<unknown>;
  /** Ends it at once (SIGKILL). */
  kill(): Promise<void>;
}

/** What Lambda sets for every function. */
export function lambdaEnv({ dir, handler, env, timeoutMs }: FunctionOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    AWS_LAMBDA_FUNCTION_NAME: "d-engine",
    AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "512",
    AWS_LAMBDA_FUNCTION_TIMEOUT: String(Math.ceil(timeoutMs / 1000)),
    AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/d-engine",
    AWS_LAMBDA_LOG_STREAM_NAME: "local",
    LAMBDA_TASK_ROOT: dir,
    _HANDLER: handler,
    ...env,
  };
}
