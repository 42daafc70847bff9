/** One evaluator in a process of its own: made ready, held to the right answers, then asked for as long as told. */
import { performance } from 'node:perf_hooks';
import { rolecall } from './in-process.ts';
import { type Evaluator, type Policy, plainQuestions, policyOf } from './policy.ts';
import { casbin, casl } from './rivals.ts';
import type { Run } from './rounds.ts';

const size = { users: 1_000, roles: 100, permissions: 1_000 };
const questionsBetweenLooksAtTheClock = 100;

const makers: Record<string, (policy: Policy) => Evaluator | Promise<Evaluator>> = { rolecall, casl, casbin };
const [name = ''] = process.argv.slice(2);
const evaluate = await makers[name]?.(policyOf(size));
if (!evaluate) throw new Error(`there is no evaluator ${name}`);
const questions = plainQuestions(size);
const wrong = questions.find((question) => evaluate(question) !== question.allowed);
if (wrong) throw new Error(`${name} answers ${JSON.stringify(wrong)} the other way`);

function run(answer: Evaluator, seconds: number): Run {
  const before = process.cpuUsage();
  const start = performance.now();
  let [asked, mistakes, place] = [0, 0, 0];
  while (performance.now() - start < seconds * 1_000) {
    for (let n = 0; n < questionsBetweenLooksAtTheClock; n += 1) {
      const question = questions[place] as (typeof questions)[number];
      if (answer(question) !== question.allowed) mistakes += 1;
      place = place + 1 === questions.length ? 0 : place + 1;
    }
    asked += questionsBetweenLooksAtTheClock;
  }
  const elapsedMs = performance.now() - start;
  const { user, system } = process.cpuUsage(before);
  if (mistakes > 0) throw new Error(`${name} made ${mistakes} mistakes`);
  const busy = (user + system) / 1_000 / elapsedMs;
  return { rate: (asked * 1_000) / elapsedMs, cpuMicros: (user + system) / asked, busy };
}

process.on('message', ({ seconds }: { seconds: number }) => {
  process.send?.(run(evaluate, seconds));
});
