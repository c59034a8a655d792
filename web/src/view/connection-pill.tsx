import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import type { Transport } from "../model/connection-view.js";
import { useSurroundings } from "./surroundings.js";

const DETAIL_ID = "connection-detail";

// Proper names, the same in every language.
const TRANSPORT_NAMES: { readonly [K in Transport]: string } = {
  sse: "Server-Sent Events",
  poll: "Long polling",
};

/** How the stream stands: a word for a glance, the facts on hover, focus or a tap. */
export function ConnectionPill(): JSX.Element {
  const { board, words, formatters } = useSurroundings();
  const open = useSignal(false);
  const view = board.connection.value;
  const say = words.value;
  const waiting = view.state === "reconnecting" && view.retryInSeconds !== null;
  const label = waiting
    ? say.reconnectingIn(formatters.value.duration(view.retryInSeconds ?? 1))
    : say.connection[view.state];
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Escape") open.value = false;
  };
  return (
    <div
      class="connection"
      onPointerEnter={({ pointerType }) => {
        if (pointerType === "mouse") open.value = true;
      }}
      onPointerLeave={({ pointerType }) => {
        if (pointerType === "mouse") open.value = false;
      }}
      onFocusOut={() => (open.value = false)}
      onKeyDown={onKeyDown}
    >
      <button
        type="button"
        class="pill"
        data-testid="connection"
        data-state={view.state}
        aria-expanded={open.value}
        aria-controls={DETAIL_ID}
        aria-label={`${say.connectionLabel}: ${label}`}
        onFocus={({ currentTarget }) => {
          if (currentTarget.matches(":focus-visible")) open.value = true;
        }}
        onClick={() => (open.value = !open.value)}
      >
        <span class="pill-dot" aria-hidden="true" />
        {label}
      </button>
      <div id={DETAIL_ID} class="connection-detail" data-testid="connection-detail" hidden={!open.value}>
        <ConnectionFacts />
      </div>
    </div>
  );
}

function ConnectionFacts(): JSX.Element {
  const { board, words, formatters, protocol } = useSurroundings();
  const say = words.value;
  const { state, detail, heartbeatAgoSeconds, transport, attempt } = board.connection.value;
  const heard =
    heartbeatAgoSeconds === null
      ? say.notYet
      : say.ago(formatters.value.duration(Math.max(1, heartbeatAgoSeconds)));
  return (
    <>
      <p>{say.connectionText[state]}</p>
      {detail === null ? null : <p class="connection-said">{detail}</p>}
      <dl>
        <dt>{say.transport}</dt>
        <dd data-testid="transport">{transport === null ? say.notYet : TRANSPORT_NAMES[transport]}</dd>
        {protocol === null ? null : (
          <>
            <dt>{say.protocol}</dt>
            <dd>{protocol}</dd>
          </>
        )}
        <dt>{say.lastHeartbeat}</dt>
        <dd data-testid="last-heartbeat">{heard}</dd>
        {attempt === 0 ? null : (
          <>
            <dt>{say.failedAttempts}</dt>
            <dd>{attempt}</dd>
          </>
        )}
      </dl>
    </>
  );
}
