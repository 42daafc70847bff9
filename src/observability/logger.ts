import { type DestinationStream, type LevelWithSilent, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type { Logger };

/** Members that may hold a secret, wherever an object with them is logged. */
const secrets = ['authorization', 'password', 'secret', 'key', 'url'].flatMap((name) => [
  name,
  `*.${name}`,
  `*.*.${name}`,
]);

/**
 * One JSON line per event on the stream, or lines for people when it is a terminal. Errors are logged by
 * `observability/events.ts`, which leaves out what the driver put into them.
 */
export function createLogger(level: LevelWithSilent, stream: NodeJS.WriteStream): Logger {
  const destination: DestinationStream = stream.isTTY
    ? pretty({ destination: stream, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss' })
    : stream;
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: secrets, censor: '[secret]' },
    },
    destination,
  );
}
