/** How a product of Debian is run as a process of the suite's own, around a configuration that may be anybody's. */
import type { Version } from "../line.js";

export interface Site {
  readonly directory: string;
  readonly port: number;
  /** Of the origin, on 127.0.0.1. */
  readonly upstreamPort: number;
  /** For a product of two processes: where the inner one listens. */
  readonly innerPort: number;
  readonly certificate: string;
  readonly key: string;
}

export interface Process {
  readonly command: string;
  readonly args: readonly string[];
  /** It is up when it listens here too. */
  readonly innerPort?: number;
}

/** A further text of a product; `inner` ones have the inner process as their upstream. */
export interface ExtraFile {
  readonly print: string;
  readonly inner?: true;
}

export interface Product {
  readonly name: string;
  /** What is printed by `<command> <args>` of it on the page. */
  readonly version: Process;
  /** Product names of `holdfast proxy`, each with the HTTP versions that its configuration offers to browsers. */
  readonly ours: { readonly [name: string]: readonly Version[] };
  /** File in `directory` → the product that `holdfast proxy` prints it by. */
  readonly files: { readonly [file: string]: ExtraFile };
  /** Case → why this product can't keep its promise with any configuration. */
  readonly cannot?: { readonly [name: string]: string };
  readonly standard: readonly Version[];
  /** The shortest configuration that passes requests on, TLS included: what people begin with. */
  readonly toStandard: (site: Site) => string;
  /** Writes what else the product wants to its directory, and says how to start it on `site.directory`/site.conf. */
  readonly prepare: (site: Site) => Process;
  /** As its manual says: a signal to the master, or a command. */
  readonly reload: NodeJS.Signals | ((site: Site) => Process);
}
