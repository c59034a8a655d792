/**
 * `multipart/form-data`, streamed through: each file part goes to its upload as it comes, nothing is spooled.
 *
 * Fields that come before a file name its batch and its processing; others become metadata. A part's end is the end of its
 * upload only when the form says so: a form that is cut leaves its last file incomplete. A form beyond our bounds is refused where
 * it passes them, never shortened in silence; the files before are stored. A file field left empty in a browser is no file.
 */
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { Busboy, type BusboyInstance } from "@fastify/busboy";
import { HoldfastError } from "../errors.js";
import { wasCut } from "./upload-body.js";

export interface FormFile {
  readonly source: Readable;
  readonly filename: string | undefined;
  /** The fields before it. */
  readonly fields: { readonly [name: string]: string };
  /** Whether the part ended as a part does. */
  readonly isWhole: () => boolean;
}

// What a form may hold beside its files; bounds of memory.
const LIMITS = {
  fieldNameSize: 100,
  fieldSize: 4_096,
  fields: 64,
  files: 100,
  headerPairs: 64,
  fileSize: Infinity,
};

/**
 * Calls `onFile` for each file in order; resolves when the form has ended and all calls have. A form that is silent for `silenceMs`,
 * or twice that, is given up. Throws INVALID_REQUEST, INVALID_FIELD.
 */
export async function readForm(
  request: IncomingMessage,
  silenceMs: number,
  onFile: (file: FormFile) => Promise<void>,
): Promise<void> {
  const { "content-type": contentType = "" } = request.headers;
  let busboy: BusboyInstance;
  try {
    busboy = new Busboy({ headers: { ...request.headers, "content-type": contentType }, limits: LIMITS });
  } catch (cause) {
    throw new HoldfastError("INVALID_REQUEST", "the form can't be read: its Content-Type names no boundary", {
      cause,
    });
  }
  const fields: { [name: string]: string } = Object.create(null) as { [name: string]: string };
  let running = Promise.resolve();
  let timer: ReturnType<typeof setInterval> | undefined;
  let cut: (() => void) | undefined;
  const form = new Promise<void>((resolve, reject) => {
    let refused = false;
    const refuse = (error: HoldfastError): void => {
      refused = true;
      reject(error);
    };
    busboy.on("field", (name, value, _nameTruncated, valueTruncated) => {
      if (valueTruncated) refuse(tooMuch(`a field above ${LIMITS.fieldSize} bytes`, name));
      fields[name] = value;
    });
    busboy.once("fieldsLimit", () => refuse(tooMuch(`more than ${LIMITS.fields} fields`)));
    busboy.once("filesLimit", () => refuse(tooMuch(`more than ${LIMITS.files} files`)));
    busboy.on("file", (_name, source, filename) => {
      if (refused || filename === "") {
        source.resume();
        return;
      }
      let broken = false;
      let ended = false;
      source.once("end", () => (ended = true)).once("error", () => (broken = true));
      cut = () => {
        broken = true;
        source.destroy();
      };
      const isWhole = (): boolean => ended && !broken;
      // Taken now: fields that come later belong to later files, however the form was cut into packets.
      const before = { ...fields };
      // Parts come one after the other, but the next may begin before the last is stored.
      running = running.then(async () => await onFile({ source, filename, fields: before, isWhole }));
      running.catch((error: unknown) => {
        source.resume();
        reject(error instanceof Error ? error : new Error(String(error)));
      });
    });
    busboy.once("finish", resolve);
    busboy.once("error", (cause) => {
      cut?.();
      reject(
        new HoldfastError("INVALID_REQUEST", "the form is not well-formed multipart/form-data, or was cut", {
          cause,
        }),
      );
    });
    let heard = true;
    request.on("data", () => (heard = true));
    timer = setInterval(() => {
      // Held back by a slow disk, the client has no chance to be heard.
      if (!heard && !request.isPaused()) {
        cut?.();
        reject(
          new HoldfastError("INVALID_REQUEST", `no byte of the form came for ${silenceMs} ms (read-timeout)`),
        );
      }
      heard = false;
    }, silenceMs);
    request.once("close", () => {
      if (!wasCut(request)) return;
      cut?.();
      reject(new HoldfastError("INVALID_REQUEST", "the client left before its form had ended"));
    });
  });
  request.pipe(busboy);
  try {
    await form;
  } finally {
    clearInterval(timer);
    // Whatever became of the form, its files are dealt with before we answer.
    await running.catch(() => undefined);
    request.unpipe(busboy);
  }
  await running;
}

function tooMuch(what: string, field = "form"): HoldfastError {
  return new HoldfastError(
    "INVALID_FIELD",
    `a form may not hold ${what}; what came before it is stored, send the rest on its own`,
    { field: field.slice(0, 100) },
  );
}
