/** What a fault is to the runner: a stage to set the cell upon, and the strike. */
import type { StreamTransport } from "@holdfast/client";
import type { ServerProcess } from "../harness/server-process.js";
import type { SeededRandom } from "../harness/seeded-random.js";
import type { Producers } from "./producers.js";
import type { WatchParty } from "./watch-party.js";

/** What the machine must have; `link`: network namespaces, nft and tc; `mount`: tmpfs; `faketime`: the preload. */
export type Need = "link" | "mount" | "faketime";

export interface Fault {
  readonly name: string;
  /** For the published table: what is done, in a sentence. */
  readonly what: (form: Form) => string;
  readonly needs: readonly Need[];
  /** In the whole form nothing else runs beside it. */
  readonly alone?: boolean;
  readonly stage: (setting: Setting) => Stage;
}

/** How much is done; the short form runs within `npm test`. */
export interface Form {
  readonly whole: boolean;
  /** Of the server; the whole form keeps the standard one. */
  readonly heartbeatMs: number;
  /** How long a lasting fault lasts: beyond the client's watchdog, which waits two and a half heartbeats. */
  readonly holdMs: number;
  readonly stormWatchers: { readonly [Transport in StreamTransport]: number };
}

export interface Setting {
  readonly form: Form;
  readonly tasks: number;
  readonly transport: StreamTransport;
  readonly random: SeededRandom;
}

/** Whatever is left out is plain: loopback, a directory in /tmp, one watcher. */
export interface Stage {
  readonly host?: string;
  readonly dataDir?: string;
  readonly serverEnv?: NodeJS.ProcessEnv;
  readonly watcherEnv?: NodeJS.ProcessEnv;
  readonly within?: readonly string[];
  /** Where watchers connect, given where the server is. */
  readonly route?: (serverUrl: string) => Promise<string>;
  readonly watchers?: number;
  readonly watcherProcesses?: number;
  /** The watchers beyond so many are bare sockets, see crowd-watcher.mjs. */
  readonly clients?: number;
  /** With many tasks each watcher watches one of them, and not the batch. */
  readonly oneTaskEach?: boolean;
  readonly payloadBytes?: number;
  /** Between two milestones of the whole cell. */
  readonly periodMs?: number;
  /** A fault that no watcher's connection survives: that they came back shows that it struck. */
  readonly severs: boolean;
  /** Resolves when the fault is lifted. */
  readonly strike: (scene: Scene) => Promise<Struck>;
  readonly cleanUp?: () => void;
}

export interface Scene {
  readonly server: () => ServerProcess;
  /** Starts it again on the same port and directory. */
  readonly restart: () => Promise<void>;
  readonly url: string;
  readonly party: WatchParty;
  readonly producers: Producers;
  readonly signal: AbortSignal;
}

export interface Struck {
  /** Of the machine's monotonic clock. */
  readonly liftedAtMs: number;
  /** What shows that it happened: "40 cuts", "1,230 packets dropped". */
  readonly evidence: string;
}
