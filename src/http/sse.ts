import { Readable } from 'node:stream';

/** What is kept, in bytes, for a reader who takes nothing, besides what the sockets on both sides keep. */
const mostUnread = 65_536;

/**
 * An answer of server-sent events that goes on until `end`. Whoever reads more slowly than it is written, or has taken
 * nothing between two heartbeats, is cut off: they come again and say what they heard last.
 */
export class SseStream extends Readable {
  #hasEnded = false;

  override _read(): void {}

  /** An event on one line of data; `id` is what a reader who comes again sends as Last-Event-ID. */
  send(event: string, data: object, id?: string): void {
    this.#write(`${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** A comment, so that nobody on the way takes the silence for an end. */
  beat(): void {
    if (this.readableLength > 0) this.destroy();
    else this.#write(':\n\n');
  }

  /** What was sent before is still read; what is sent from now on is not. */
  end(): void {
    this.#hasEnded = true;
    this.push(null);
  }

  #write(text: string): void {
    if (this.destroyed || this.#hasEnded) return;
    this.push(text);
    if (this.readableLength > mostUnread) this.destroy();
  }
}
