import { actorOf, type Caller } from '../domain/principals.ts';
import { type Sight, seesEverything } from '../domain/sight.ts';
import { type Deadline, deadlineIn } from '../storage/deadline.ts';
import type { IdempotencyKey } from '../storage/idempotency.ts';
import type { WriteContext, Written } from '../storage/transaction.ts';

export type { Written };

/** One use of the service: who asks, until when an answer is due, and how a change is to be made. */
export interface Call {
  readonly caller: Caller;
  readonly requestId: string | null;
  readonly deadline: Deadline;
  /** Where the caller may look: lists show what lies there. */
  readonly sight: Sight;
  readonly dryRun: boolean;
  readonly idempotency: IdempotencyKey | null;
}

export function writeContextOf(call: Call): WriteContext {
  return { ...call, actor: actorOf(call.caller) };
}

/** When an answer is due that may take `timeoutMs` from now. */
export function dueIn(timeoutMs: number): Deadline {
  return deadlineIn(timeoutMs);
}

/** A call by whoever runs the command line. */
export function operatorCall(timeoutMs: number): Call {
  return {
    caller: { kind: 'operator' },
    requestId: null,
    deadline: deadlineIn(timeoutMs),
    sight: seesEverything,
    dryRun: false,
    idempotency: null,
  };
}

/** A write that nobody asked for: the service notes what it found. */
export function serviceContext(deadline: Deadline): WriteContext {
  const unasked = { requestId: null, dryRun: false, sight: seesEverything, idempotency: null };
  return { actor: { kind: 'service' }, deadline, ...unasked };
}

/** The internal key to note as having granted or created something; null stands for the operator. */
export function granterOf(call: Call): number | null {
  return call.caller.kind === 'user' ? call.caller.userPk : null;
}

/** The id of whoever grants or creates something; null stands for the operator. */
export function granterNameOf(call: Call): string | null {
  return call.caller.kind === 'user' ? call.caller.userId : null;
}
