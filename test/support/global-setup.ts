import type { TestProject } from 'vitest/node';
import { sharePostgres } from './postgres.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { url, release } = await sharePostgres();
  project.provide('postgresUrl', url);
  return release;
}
