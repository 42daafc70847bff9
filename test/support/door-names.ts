/** Operations that are tried on random worlds by `test/http/doors.property.test.ts`. */
export const triedDoors = [
  'grantRole',
  'changeGrants',
  'revokeRole',
  'setException',
  'endException',
  'giveRolePermission',
  'withholdRolePermission',
  'includeRole',
  'excludeRole',
  'deleteRole',
  'retirePermission',
  'createKey',
  'updateUser',
  'deleteUser',
  'eraseUser',
  'linkIdentity',
  'unlinkIdentity',
] as const;

/** Operations that write what decides as well, and what keeps them from giving more than their actor holds. */
export const otherDoors: Readonly<Record<string, string>> = {
  createUser: 'gives the default role at most, whose setter held it',
  createRole: 'gives nothing yet',
  updateRole: 'changes names',
  replaceRolePermissions: 'test/http/guard.test.ts',
  replaceUserRoles: 'test/http/grant-batches.test.ts',
  revokeKey: 'test/http/guard.test.ts',
  registerPermission: 'nobody has it yet',
  registerPermissions: 'nobody has them yet',
  describePermission: 'changes a description',
  rotateKey: 'test/http/key-rotation.test.ts',
  applyMatrix: 'test/http/matrix.test.ts',
  createMapping: 'test/http/mappings.test.ts',
  deleteMapping: 'test/http/mappings.test.ts',
  changeSetting: 'test/http/settings.test.ts',
};
