import { atMost } from '../figures.ts';
import { load } from '../load.ts';
import type { Case } from '../main.ts';
import { hotQuestions, hotRequests, hotUsers, requireRightAnswers } from '../requests.ts';
import { interleave, median } from '../rounds.ts';

/** Whether a database full of others slows down those who are in use. */
export const storedCases: readonly Case[] = [
  {
    name: 'stored',
    async measure(stage) {
      const [many, few] = [await stage.world(), await stage.world({ ...stage.usualSize, users: hotUsers })];
      const [amongMany, amongFew] = [await stage.serve(many), await stage.serve(few)];
      await requireRightAnswers(amongMany.url, many, hotQuestions(many.size));
      await requireRightAnswers(amongFew.url, few, hotQuestions(few.size));
      const run = { connections: 64 };
      const pairs = await interleave(
        stage,
        'stored',
        (seconds) =>
          load(stage.generator, amongMany, { ...run, seconds, requests: hotRequests(many, 'latest') }),
        (seconds) =>
          load(stage.generator, amongFew, { ...run, seconds, requests: hotRequests(few, 'latest') }),
      );
      await Promise.all([amongMany.stop(), amongFew.stop()]);
      const p50 = (which: 'subject' | 'limit') => pairs.map((pair) => pair[which].p50 ?? Number.NaN);
      const [subject, limit] = [p50('subject'), p50('limit')];
      return [
        {
          case: 'stored',
          what: `p50 of /authorize latest, warm, with ${many.size.users.toLocaleString('en')} users stored`,
          against: `with ${few.size.users.toLocaleString('en')}, the same users asked about`,
          unit: 'x',
          values: subject.map((value, round) => value / (limit[round] ?? Number.NaN)),
          bound: atMost(1.15, 1.05),
          note: `${median(subject).toFixed(2)} ms against ${median(limit).toFixed(2)} ms`,
        },
      ];
    },
  },
];
