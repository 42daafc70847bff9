import {
  includesTheOneBefore,
  isDenied,
  permissionAt,
  permissionsOfRole,
  questionOf,
  roleOf,
  type Size,
  scopedRoleOf,
  slugOf,
} from './data.ts';

/** The data of the bench as plain values, for evaluators that run in a process: everything is granted everywhere. */
export interface Policy {
  readonly permissions: readonly string[];
  readonly roles: readonly {
    readonly key: string;
    readonly permissions: readonly string[];
    readonly includes: readonly string[];
  }[];
  readonly users: readonly {
    readonly id: string;
    readonly roles: readonly string[];
    readonly denied: readonly string[];
  }[];
}

export interface PlainQuestion {
  readonly user: string;
  /** `resource_action`, and the same in its two parts. */
  readonly permission: string;
  readonly resource: string;
  readonly action: string;
  readonly allowed: boolean;
}

/** Answers a question. */
export type Evaluator = (question: PlainQuestion) => boolean;

export function policyOf(size: Size): Policy {
  const numbers = (length: number) => Array.from({ length }, (_, n) => n);
  const roleKey = (role: number) => `bench-${role}`;
  return {
    permissions: numbers(size.permissions).map(slugOf),
    roles: numbers(size.roles).map((role) => ({
      key: roleKey(role),
      permissions: numbers(permissionsOfRole).map((place) => slugOf(permissionAt(role, place, size))),
      includes: includesTheOneBefore(role) ? [roleKey(role - 1)] : [],
    })),
    users: numbers(size.users).map((user) => ({
      id: `u${user}`,
      roles: [...new Set([roleOf(user, size), scopedRoleOf(user, size)])].map(roleKey),
      denied: isDenied(user) ? [slugOf(permissionAt(roleOf(user, size), 1, size))] : [],
    })),
  };
}

export function plainQuestions(size: Size): readonly PlainQuestion[] {
  return Array.from({ length: size.users * 4 }, (_, n) => {
    const { user, permission, allowed } = questionOf(n % size.users, Math.floor(n / size.users) + n, size);
    return { user, permission, ...partsOf(permission), allowed };
  });
}

/** The slugs of this data have one underscore. */
export function partsOf(slug: string): { readonly resource: string; readonly action: string } {
  const [resource = '', action = ''] = slug.split('_');
  return { resource, action };
}
