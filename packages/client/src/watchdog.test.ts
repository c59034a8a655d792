import { expect, test, vi } from "vitest";
import { ManualEnvironment } from "./manual-environment.test.kit.js";
import { Watchdog } from "./watchdog.js";

function watch(silenceMs: number): {
  clock: ManualEnvironment;
  dog: Watchdog;
  onSilence: ReturnType<typeof vi.fn<() => void>>;
} {
  const clock = new ManualEnvironment();
  const onSilence = vi.fn<() => void>();
  return { clock, dog: new Watchdog(clock, silenceMs, onSilence), onSilence };
}

test("silence is told once, exactly when the last byte is too old", () => {
  const { clock, dog, onSilence } = watch(1000);
  clock.advance(900);
  dog.feed();
  clock.advance(999);
  expect(onSilence).not.toHaveBeenCalled();
  clock.advance(1);
  expect(onSilence).toHaveBeenCalledOnce();
  clock.advance(10_000);
  expect(onSilence).toHaveBeenCalledOnce();
  expect(clock.pending).toBe(0);
});

test("an announced heartbeat shortens the wait that is under way", () => {
  const { clock, dog, onSilence } = watch(45_000);
  dog.expect(25_000);
  clock.advance(25_000);
  expect(onSilence).toHaveBeenCalledOnce();
});

test("a timer held back by sleep lets the socket deliver before it judges", () => {
  const { clock, dog, onSilence } = watch(1000);
  clock.late(3_600_000);
  clock.advance(0);
  expect(onSilence).not.toHaveBeenCalled();
  dog.feed();
  clock.advance(2000);
  expect(onSilence).toHaveBeenCalledOnce();
});

test("a connection that died in the sleep is noticed two seconds after it", () => {
  const { clock, onSilence } = watch(1000);
  clock.late(3_600_000);
  clock.advance(0);
  clock.advance(2000);
  expect(onSilence).toHaveBeenCalledOnce();
});

test("stopped, it holds no timer and says nothing", () => {
  const { clock, dog, onSilence } = watch(1000);
  dog.stop();
  dog.expect(10);
  expect(clock.pending).toBe(0);
  clock.advance(5000);
  expect(onSilence).not.toHaveBeenCalled();
});
