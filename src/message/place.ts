/** Place: which message is meant by a stream and a sequence. A stream that was made anew, or lost its end, gives its sequences out again. */

/** With the time of storing it is one message and no other. */
export interface MessagePlace {
  readonly stream: string;
  readonly sequence: number;
  /** When the stream stored it, wall-clock ms. */
  readonly storedAtMs: number;
}

/** `<stream>-<sequence>-<time stored>`: the id of a message that was given none, and what a record says it belongs to. */
export function placeText({ stream, sequence, storedAtMs }: MessagePlace): string {
  return `${stream}-${sequence}-${storedAtMs}`;
}
