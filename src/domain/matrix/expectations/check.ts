import { Catalogue } from '../../decision/catalogue.ts';
import { decide } from '../../decision/decide.ts';
import { type Explanation, explain, type GivenAccess, givingGrants } from '../../decision/explain.ts';
import { compileAccess } from '../../decision/user-access.ts';
import type { RoleKey } from '../../ids.ts';
import { covers } from '../../scopes.ts';
import type { MergedMatrix } from '../layers.ts';
import { type Coverage, CoveredCells } from './coverage.ts';
import type { Expectation } from './parse.ts';

/** What became of one expectation; `explanation` says why it was not met, and is null if it was. */
export interface Outcome {
  readonly expectation: Expectation;
  readonly explanation: Explanation | null;
}

export interface Verdict {
  readonly outcomes: readonly Outcome[];
  readonly coverage: Coverage;
}

/** The tests know no time: what somebody in them has, they have for good. */
const at = 0;

/** Decides everything that is expected by what the matrix declares, as the service would. */
export function checkExpectations(matrix: MergedMatrix, expectations: readonly Expectation[]): Verdict {
  const { includes, edges } = matrix;
  const catalogue = new Catalogue({ registered: matrix.permissions.keys(), includes, edges });
  const covered = new CoveredCells(matrix.roles.keys(), matrix.permissions.size);
  const outcomes = expectations.map((expectation) => {
    const { permission, scope, allowed } = expectation;
    const user = accessOf(expectation);
    for (const role of rolesJudged(catalogue, expectation)) covered.add(role, permission);
    const decision = decide(catalogue, compileAccess(catalogue, user, at), permission, scope);
    if (decision.allowed === allowed) return { expectation, explanation: null };
    const rows = { includes, edges: edges.filter((row) => row.permission === permission) };
    return { expectation, explanation: explain(catalogue, user, rows, { permission, scope, at }) };
  });
  return { outcomes, coverage: covered.count() };
}

function accessOf({ roles }: Expectation): GivenAccess {
  const terms = {
    startsAt: null,
    expiresAt: null,
    origin: 'test',
    reason: null,
    grantedBy: null,
    grantedAt: at,
  };
  return { active: true, exceptions: [], grants: roles.map((held) => ({ ...held, ...terms })) };
}

/** Of whose cell an expectation says something: what may not be, of every role held there; what may, of those that give it. */
function rolesJudged(catalogue: Catalogue, expectation: Expectation): readonly RoleKey[] {
  const { permission, scope, allowed } = expectation;
  const { grants } = accessOf(expectation);
  const judged = allowed
    ? givingGrants(catalogue, grants, permission, scope)
    : grants.filter((grant) => covers(grant.scope, scope));
  return judged.map(({ role }) => role);
}
