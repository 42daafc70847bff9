import { z } from 'zod';

export const eventsQuery = z.strictObject({
  all: z.enum(['true', 'false']).default('false').meta({
    description:
      'Every revision, not only what may change what the caller is answered about themselves: needs `rolecall_read_journal` everywhere',
  }),
});

export const eventsHeaders = z.object({
  'last-event-id': z.string().max(100).optional().meta({
    description: 'The id of the last event that was heard: what was missed since is told first',
  }),
});

/** The answer as it is sent: `event` is `hello`, `revision`, `resync` or `bye`. */
export const eventsAnswer = {
  description: 'A stream of server-sent events, each with JSON as its data',
  content: {
    'text/event-stream': {
      schema: z.string().meta({
        examples: ['id: 0f3a9c51d2e7-42\nevent: revision\ndata: {"revision":"0f3a9c51d2e7-42"}\n\n'],
      }),
    },
  },
};
