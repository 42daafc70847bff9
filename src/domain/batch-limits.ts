import { RolecallError } from './errors.ts';
import type { SettingValues } from './settings.ts';

/** What one request may carry many of: the member of its body that carries them, and what people call them. */
const batches = {
  authorize_batch_limit: { member: 'checks', called: 'questions' },
  grant_batch_limit: { member: 'changes', called: 'changes' },
  permission_batch_limit: { member: 'permissions', called: 'permissions' },
} as const;

/** Throws `invalid_input`, naming the setting, if a request carries more than this installation takes at once. */
export function refuseTooMany(number: number, limit: keyof typeof batches, settings: SettingValues): void {
  const most = settings[limit];
  if (number <= most) return;
  const { member, called } = batches[limit];
  const detail = `this installation takes at most ${most} ${called} at once, by its setting ${limit}`;
  throw new RolecallError('invalid_input', detail, {
    errors: [{ pointer: `/${member}`, code: 'too_big', detail }],
  });
}
