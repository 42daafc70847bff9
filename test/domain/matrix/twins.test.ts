import { describe, expect, it } from 'vitest';
import type { PermissionSlug } from '../../../src/domain/ids.ts';
import { builtinLayer } from '../../../src/domain/matrix/builtin.ts';
import { parseMatrixFiles } from '../../../src/domain/matrix/parse.ts';
import { describeTwins, nearTwins } from '../../../src/domain/matrix/twins.ts';

const name = (text: string) => {
  const [resource = '', action = ''] = text.split('.');
  return { resource, action };
};

describe('near-twins across resources (2.7)', () => {
  it.each([
    ['adminpanel.view_documents', 'documents.view_document', true],
    ['document.create', 'documents.create', true],
    ['hr.view_reports', 'adminpanel.view_reports', true],
    ['adminpanel.change_companies', 'companies.change_company', true],
    ['orders.create', 'documents.create', false],
    ['orders.view_order', 'users.view_user', false],
    ['documents.view_document', 'documents.view_documents', false],
    ['a.view_glass', 'b.view_glas', false],
  ])('%s and %s: %s', (one, other, areTwins) => {
    const expected = areTwins ? [[one, other].sort()] : [];
    expect(nearTwins([name(one), name(other)], [])).toEqual(expected);
    expect(nearTwins([name(other), name(one)], [])).toEqual(expected);
  });

  it('are silent once acknowledged, in whichever order', () => {
    const pair = [name('adminpanel.view_documents'), name('documents.view_document')];
    const [one, other] = ['adminpanel_view_documents', 'documents_view_document'] as PermissionSlug[];
    expect(nearTwins(pair, [[one as PermissionSlug, other as PermissionSlug]])).toEqual([]);
    expect(nearTwins(pair, [[other as PermissionSlug, one as PermissionSlug]])).toEqual([]);
  });

  it('say how to acknowledge them, and that is what the file takes', () => {
    const [pair] = nearTwins([name('hr.view_reports'), name('adminpanel.view_reports')], []);
    const advice = describeTwins(pair ?? ['', '']);
    const text = `version: 1
permissions: { hr: { view_reports: See }, adminpanel: { view_reports: See } }
roles: {}
${advice.slice(advice.indexOf('acknowledge: '))}
`;
    const { layers, acknowledged } = parseMatrixFiles([{ name: 'b.yaml', text }], builtinLayer);
    expect(nearTwins(layers[0]?.permissions ?? [], acknowledged)).toEqual([]);
    expect(nearTwins(layers[0]?.permissions ?? [], [])).toEqual([pair]);
  });
});
