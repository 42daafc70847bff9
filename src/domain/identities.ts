/** Who a user is at one identity provider. The subject alone means nothing: another issuer may give it to somebody else. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
}

/** Names an identity among all credentials: one text for one identity, and never the id of an API key. */
export function nameOfIdentity({ issuer, subject }: Identity): string {
  return JSON.stringify([issuer, subject]);
}

/** The identity that such a text names; undefined for the id of an API key. */
export function identityNamed(name: string): Identity | undefined {
  if (!name.startsWith('[')) return undefined;
  const [issuer, subject] = JSON.parse(name) as [string, string];
  return { issuer, subject };
}
