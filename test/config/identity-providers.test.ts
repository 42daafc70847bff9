import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { ConfigurationError } from '../../src/config/env.ts';

const provider = { issuer: 'https://login.example.com/', audience: 'https://rolecall.example.com' };
const load = (providers: unknown) =>
  loadConfig([], { ROLECALL_IDENTITY_PROVIDERS: JSON.stringify(providers) }).identityProviders;

function problems(providers: unknown): readonly string[] {
  try {
    load(providers);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

describe('identity providers', () => {
  it('have what is usual filled in', () => {
    expect(load([provider])).toEqual([
      { ...provider, algorithms: ['RS256'], tokenType: 'at+jwt', jwksUrl: null },
    ]);
    expect(loadConfig([], {}).identityProviders).toEqual([]);
  });

  it('cannot be had without an audience (A-17)', () => {
    for (const audience of [undefined, null, ''])
      expect(problems([{ ...provider, audience }])).toEqual([expect.stringMatching(/\[0\]\[audience\]/)]);
    expect(problems([{ issuer: provider.issuer }])).toEqual([
      'ROLECALL_IDENTITY_PROVIDERS[0][audience] is missing: without it, tokens for any other service would be accepted',
    ]);
  });

  it('cannot be had without an issuer, nor with one over an open wire', () => {
    for (const issuer of [
      undefined,
      '',
      'login',
      'http://login.example.com/',
      'https://user:secret@login.example.com/',
      'https://login.example.com/?a=b',
      'file:///etc/passwd',
    ])
      expect(problems([{ ...provider, issuer }])).toHaveLength(1);
    expect(problems([{ ...provider, jwksUrl: 'http://login.example.com/jwks' }])).toHaveLength(1);
    expect(problems([{ ...provider, issuer: 'http://127.0.0.1:8080/realms/x' }])).toEqual([]);
  });

  it('sign with keys that only they have', () => {
    for (const algorithm of ['none', 'HS256', 'HS512', 'rs256', 'RSA1_5', ''])
      expect(problems([{ ...provider, algorithms: [algorithm] }])).toHaveLength(1);
    expect(problems([{ ...provider, algorithms: [] }])).toHaveLength(1);
    expect(problems([{ ...provider, algorithms: ['ES256', 'PS512', 'EdDSA'] }])).toEqual([]);
  });

  it('are named once, and everything that is wrong with them at once', () => {
    expect(problems([provider, provider])).toEqual([
      'ROLECALL_IDENTITY_PROVIDERS names https://login.example.com/ twice',
    ]);
    expect(problems([{ tokenType: 'id', secret: 'x' }, {}]).length).toBeGreaterThanOrEqual(5);
    for (const text of ['{', 'https://login.example.com/'])
      expect(() => loadConfig([], { ROLECALL_IDENTITY_PROVIDERS: text })).toThrow(/must be a JSON list/);
    for (const other of [null, {}, 'x', 1]) expect(problems(other)).toHaveLength(1);
  });
});
