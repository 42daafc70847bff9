import { type Finding, problem } from '../../domain/findings.ts';
import type { KeyPlace } from './provider-documents.ts';
import { readKeys } from './provider-keys.ts';

const timeoutMs = 5_000;

/** Which providers' keys are not to be had from here, all asked at once. Never rejects. */
export async function examineProviders(places: readonly KeyPlace[]): Promise<readonly Finding[]> {
  const findings = await Promise.all(
    places.map(async (place) => {
      try {
        await readKeys(place, timeoutMs);
        return [];
      } catch (error) {
        return [unreachable(place, error)];
      }
    }),
  );
  return findings.flat();
}

function unreachable({ issuer, jwksUrl }: KeyPlace, error: unknown): Finding {
  const { message, cause } = error as Error;
  const why = cause instanceof Error ? ` (${cause.message})` : '';
  const where = jwksUrl ?? `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  return problem(
    issuer,
    `${message}${why}: its tokens will be answered with 503`,
    `see that this machine reaches ${where}, and that ROLECALL_IDENTITY_PROVIDERS names the right one`,
  );
}
