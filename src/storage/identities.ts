import { and, asc, eq } from 'drizzle-orm';
import type { Identity } from '../domain/identities.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';
import { identities } from './schema/identities.ts';

export type { Identity };

export async function identitiesOf({ db }: ReadHandle, userPk: number): Promise<readonly Identity[]> {
  return db
    .select({ issuer: identities.issuer, subject: identities.subject })
    .from(identities)
    .where(eq(identities.userPk, userPk))
    .orderBy(asc(identities.issuer), asc(identities.subject));
}

/** Whose an identity is. */
export async function findOwner({ db }: ReadHandle, identity: Identity): Promise<number | undefined> {
  const [row] = await db
    .select({ userPk: identities.userPk })
    .from(identities)
    .where(and(eq(identities.issuer, identity.issuer), eq(identities.subject, identity.subject)));
  return row?.userPk;
}

/** Throws `identity_taken` if anybody has this identity already. */
export async function insertIdentity(
  { db }: ChangeHandle,
  userPk: number,
  identity: Identity,
): Promise<void> {
  await db.insert(identities).values({ userPk, ...identity });
}

/** Whether the user had it. What its tokens claimed is forgotten with it; the grants that gave are the caller's business. */
export async function deleteIdentity(
  { db, sql }: ChangeHandle,
  userPk: number,
  identity: Identity,
): Promise<boolean> {
  await sql`
    delete from rolecall.identity_mappings using rolecall.identities
    where identity_pk = identities.pk and user_pk = ${userPk}
      and issuer = ${identity.issuer} and subject = ${identity.subject}`;
  const gone = await db
    .delete(identities)
    .where(
      and(
        eq(identities.userPk, userPk),
        eq(identities.issuer, identity.issuer),
        eq(identities.subject, identity.subject),
      ),
    )
    .returning();
  return gone.length > 0;
}
