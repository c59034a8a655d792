import { isFinal, toClientError } from "./upload-failure.js";

// Who cancels wants it gone; what is left after so many tries expires at the server.
const TRIES = 5;

/** Asks until the upload is gone or the server refuses; throws the last error when it stays. `pause` waits out so many failures. */
export async function cancelUntilGone(
  cancel: () => Promise<void>,
  pause: (failures: number) => Promise<void>,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      await cancel();
      return;
    } catch (error) {
      const { status } = toClientError(error);
      if (status === 404 || status === 410) return;
      if (isFinal(status) || tries === TRIES) throw error;
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      await pause(tries);
    }
  }
}
