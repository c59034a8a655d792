/** What a command touches of its process, so that tests can give it another one. */
export interface CommandIo {
  readonly env: { readonly [name: string]: string | undefined };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly signals: Signals;
  /** Ends the process at once, whatever is under way. */
  readonly exit: (code: number) => void;
}

export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface Signals {
  on(signal: "SIGTERM" | "SIGINT", listener: () => void): unknown;
  off(signal: "SIGTERM" | "SIGINT", listener: () => void): unknown;
}
