/** A file by the real tus-js-client in Node; resolves when the server has taken the last byte. */
import { createReadStream, statSync } from "node:fs";
import { Upload } from "tus-js-client";

export interface TusSend {
  readonly endpoint: string;
  readonly path: string;
  readonly metadata: { readonly [name: string]: string };
  readonly chunkBytes: number;
}

/** Returns the upload's URL. */
export async function sendByTusClient({ endpoint, path, metadata, chunkBytes }: TusSend): Promise<string> {
  return await new Promise((resolve, reject) => {
    const upload = new Upload(createReadStream(path, { highWaterMark: 1_048_576 }), {
      endpoint,
      chunkSize: chunkBytes,
      metadata: { ...metadata },
      uploadSize: statSync(path).size,
      onError: reject,
      onSuccess: () => resolve(upload.url ?? ""),
    });
    upload.start();
  });
}
